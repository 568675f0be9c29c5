"""What is told of the machines behind the API: of the model of masked edits, and of all models' endpoints."""

from backlot.operations import operation_named
from lambdas.serve_api.artmancer.health_views import ModelHealth, SystemHealth
from lambdas.serve_api.deps import Deps

#: The model of masked edits.
MODEL = "qwen-edit"

#: The old server's services, and the operation that does the work of each.
SERVICES = {"job_manager": "masked-edit", "segmentation": "smart-mask", "image_utils": "remove-background"}

#: A model that has answered within this time is hot, milliseconds.
HOT_MS = 300_000


def model_health(deps: Deps) -> ModelHealth:
    """Report on the model of masked edits, without waking it: by its endpoint, and by what it last said of itself."""
    fleet, known = deps.fleets[MODEL].state(), deps.model_states.of(MODEL)
    runs = fleet.instances > 0
    is_hot = runs and known is not None and deps.clock() - known.at_ms < HOT_MS
    state = "hot" if is_hot else "warm" if runs else "cold"
    said = known.said if known else {}
    device = str(said.get("device", "unknown"))
    info: dict[str, str | int | float | bool] = {
        "device": device,
        "cuda_available": device.startswith("cuda"),
        "mps_available": False,
        "xpu_available": False,
        "state": state,
    }
    if "device_name" in said:
        info["device_name"] = str(said["device_name"])
    # Memory is somebody's only while he is there.
    memory = said.get("memory", {}) if runs else {}
    info |= {f"memory_{name}": size for name, size in memory.items() if isinstance(size, int)}
    if known is not None:
        info["last_activity_seconds_ago"] = max(deps.clock() - known.at_ms, 0) // 1000
    return ModelHealth(status="healthy", model_loaded=runs, device=device, device_info=info, state=state)


def system_health(deps: Deps) -> SystemHealth:
    """Report on the endpoints that do the work of the old server's services."""
    services = {name: _service(deps, operation_named(operation).models[0]) for name, operation in SERVICES.items()}
    is_well = all(service["status"] == "healthy" for service in services.values())
    return SystemHealth(status="healthy" if is_well else "degraded", services=services)


def _service(deps: Deps, model: str) -> dict[str, str]:
    fleet = deps.fleets[model].state()
    if not fleet.in_service:
        return {"status": "unhealthy", "service": model, "error": "its endpoint is not in service"}
    return {"status": "healthy", "service": model, "state": "warm" if fleet.instances else "cold"}
