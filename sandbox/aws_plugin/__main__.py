"""`python -m sandbox.aws_plugin ENGINE_ADDRESS`: serve the plugin to a Pulumi engine."""

from sandbox.aws_plugin.server import main

main()
