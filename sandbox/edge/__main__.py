"""`python -m sandbox.edge`: the edge of one sandbox."""

from sandbox.edge.proxy import main

main()
