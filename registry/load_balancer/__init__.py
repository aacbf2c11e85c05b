"""The load balancer in front of the registry, whoever makes it: which kind, what it is told, by which name it is known.

All of it is plain data: what the settings say goes in, annotations, mistakes and hosted zones come out.
"""
