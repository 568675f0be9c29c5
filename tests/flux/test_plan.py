"""Placements by memory, with the numbers of FLUX.1 dev and PuLID."""

import pytest

from sagemaker_models.flux.machine import this_machine
from sagemaker_models.flux.plan import GB, RESERVE_BYTES, DoesNotFit, Machine, Placement, Weights, needed, place

#: reference/models/flux-pulid.md: 11.901, 4.762, 0.123 and 0.084 thousand million; 0.571 and 0.304 of identities.
DEV = Weights(transformer=11_901_408_320, others=4_969_000_000, largest_other=4_762_000_000, identity=875_466_432)


def cuda(free, host=200):
    return Machine("cuda", free * GB, host * GB, (9, 0))


@pytest.mark.parametrize(
    ("free", "host", "name"),
    [
        (141, 200, "full"),
        (80, 200, "full"),
        (44, 200, "full"),
        (40, 200, "full-offload"),
        # Too little on the host for parts that wait there in 16 bits.
        (40, 30, "fp8"),
        (24, 60, "fp8-offload"),
        (20, 60, "fp8-offload"),
    ],
)
def test_place_takes_the_first_that_fits(free, host, name):
    made = place(cuda(free, host), DEV)
    assert made.name == name
    assert made.fp8 == ("fp8" in name)
    assert made.offload == ("offload" in name)
    assert (made.device, made.dtype) == ("cuda", "bfloat16")


@pytest.mark.parametrize("name", ["full", "full-offload", "fp8", "fp8-offload"])
def test_place_fits_to_the_byte(name):
    on_device, on_host = needed(name, DEV)
    assert place(Machine("cuda", on_device, on_host), DEV, name).name == name
    enough = place(Machine("cuda", on_device, on_host), DEV)
    assert needed(enough.name, DEV)[0] <= on_device
    if name == "fp8-offload":
        for less in (Machine("cuda", on_device - 1, on_host), Machine("cuda", on_device, on_host - 1)):
            with pytest.raises(DoesNotFit, match=r"at least 18\.7 GB of free GPU memory and 23\.8 GB on the host"):
                place(less, DEV)


def test_needed_counts_what_is_there_at_the_same_time():
    assert needed("full", DEV)[0] == 2 * (11_901_408_320 + 4_969_000_000 + 875_466_432) + RESERVE_BYTES
    assert needed("full-offload", DEV)[0] == 2 * (11_901_408_320 + 875_466_432) + RESERVE_BYTES
    assert needed("fp8", DEV)[0] == 11_901_408_320 + 2 * (4_969_000_000 + 875_466_432) + RESERVE_BYTES
    # The transformer in 8 bits is still larger than T5 in 16.
    assert needed("fp8-offload", DEV)[0] == 11_901_408_320 + 2 * 875_466_432 + RESERVE_BYTES
    small = Weights(transformer=10, others=30, largest_other=20, identity=0)
    assert needed("fp8-offload", small) == (40 + RESERVE_BYTES, 70)


def test_place_on_a_processor_has_single_precision():
    assert place(Machine("cpu", GB, GB), DEV) == Placement("full", "cpu", "float32", fp8=False, offload=False)


def test_place_that_the_operator_wants_is_not_weighed():
    assert place(cuda(1), DEV, "fp8").name == "fp8"
    assert place(Machine("cpu", GB, GB), DEV, "fp8-offload").offload


def test_old_gpu_is_refused():
    with pytest.raises(DoesNotFit, match=r"compute capability 8\.0; this one has 7\.5"):
        place(Machine("cuda", 100 * GB, 100 * GB, (7, 5)), DEV)


def test_this_machine_has_memory():
    found = this_machine()
    assert found.host_bytes > 0
    assert found.free_bytes > 0
