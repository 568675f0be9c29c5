"""EC2 instance types that a ComfyUI worker can run on: x86_64, one NVIDIA GPU, and NVMe disks of their own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Instance:
    """An instance type.

    Args:
        vram_gb: memory of its GPU.
        memory_gb: of the host.
        disk_gb: of its first NVMe disk, which keeps the models while it runs.
        vcpus: what the account's quotas count.
    """

    vram_gb: int
    memory_gb: int
    disk_gb: int
    vcpus: int


#: Types with several GPUs are left out, because a worker has a whole host and its disk for itself.
#: Source: EC2's instance types as Karpenter's reference lists them, read 2026-11-21.
INSTANCES = {
    "g4dn.xlarge": Instance(16, 16, 125, 4),
    "g4dn.2xlarge": Instance(16, 32, 225, 8),
    "g4dn.4xlarge": Instance(16, 64, 225, 16),
    "g5.xlarge": Instance(24, 16, 250, 4),
    "g5.2xlarge": Instance(24, 32, 450, 8),
    "g5.4xlarge": Instance(24, 64, 600, 16),
    "g5.8xlarge": Instance(24, 128, 900, 32),
    "g6.xlarge": Instance(24, 16, 250, 4),
    "g6.2xlarge": Instance(24, 32, 450, 8),
    "g6.4xlarge": Instance(24, 64, 600, 16),
    "g6.8xlarge": Instance(24, 128, 450, 32),
    "g6e.xlarge": Instance(48, 32, 250, 4),
    "g6e.2xlarge": Instance(48, 64, 450, 8),
    "g6e.4xlarge": Instance(48, 128, 600, 16),
    "g6e.8xlarge": Instance(48, 256, 450, 32),
}
