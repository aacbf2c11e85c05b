"""The stand-in for the pulumi-aws provider plugin: its resource types that this project uses, over boto3.

It takes exactly the real provider's inputs (read from the SDK `pulumi_aws`), gives its outputs, replaces where it
replaces, and refuses every resource type, function and property that it does not know.
"""
