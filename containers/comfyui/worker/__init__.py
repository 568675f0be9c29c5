"""The worker of the GPU lane: one process beside one ComfyUI.

    receive → start → claim → fetch inputs, upload ─▶ run the graph ─▶ store its files → ledger.done → token → delete
              stage FETCHING                          RUNNING          STORING

Each stage has room for one job, so that three overlap: while the GPU works, the next job's inputs come and the last
one's files go. `delivery.py` is the way of one message, `stages.py` how they overlap, `prompts.py` how a graph is run,
`comfyui.py` how ComfyUI is kept alive.
"""
