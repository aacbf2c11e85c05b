"""`python -m sandbox.node`: the node of one sandbox."""

from sandbox.node.node import main

main()
