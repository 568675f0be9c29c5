"""ComfyUI: its node classes, its graphs, and its HTTP and WebSocket protocol."""

#: Name of the one step of every operation on the GPU lane.
RUN_WORKFLOW = "run-workflow"

#: The largest whole number that Step Functions, whose numbers are doubles, hands on unchanged.
MAX_WHOLE_NUMBER = 2**53 - 1
