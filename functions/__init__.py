"""One folder per Lambda function."""

import gc

# Imports make many objects that stay. By default they are all searched for garbage again and again: a tenth of a cold
# start. What a request leaves behind is freed at once, but for a few cycles.
gc.set_threshold(50_000)
