"""`python -m sandbox.aws`: the emulated AWS of one sandbox."""

import sys

from sandbox.aws.server import main

main(sys.argv[1:])
