"""Everything needed to run the bundle on one machine without an account."""

import sys

# Before any import that an older Python cannot do, so that it says why.
if sys.version_info < (3, 11):  # noqa: UP036 - the check is for those who start it with an older one
    sys.exit("Python 3.11 or newer is needed: this is %d.%d." % sys.version_info[:2])  # noqa: UP031 - it has to run there
