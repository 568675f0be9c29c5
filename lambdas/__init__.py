"""The Lambda functions: one folder each, with a handler and its settings."""

import gc

# A start makes tens of thousands of objects, and nearly all of them stay. Looking for garbage among them again and
# again is a measurable part of a cold start; it is looked for less often, and found all the same.
gc.set_threshold(50_000, 20, 20)
