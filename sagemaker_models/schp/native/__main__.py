"""`python -m sagemaker_models.schp.native` builds the kernels, so that an image needs no compiler."""

import sys

from sagemaker_models.schp.native.library import find_or_build

if __name__ == "__main__":
    built = find_or_build()
    sys.exit("there is no C compiler, or it refused the kernels" if built is None else 0)
