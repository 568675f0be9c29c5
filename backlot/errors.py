"""Backlot's errors: one tree, whose class names are a contract.

    BacklotError
    ├── CallerError                 the request cannot succeed as it stands; never retried
    │   ├── ApiKeyMissing
    │   ├── RequestTooLarge
    │   ├── TaskNotFound
    │   ├── OperationNotFound
    │   ├── IdempotencyKeyReused
    │   ├── TaskHasEnded
    │   ├── TaskNotFailed
    │   ├── Cancelled
    │   ├── ImageUrlRefused
    │   ├── ImageNotFetched
    │   ├── ImageTooLarge
    │   ├── ImageUnreadable
    │   ├── ImageShapeRefused
    │   ├── LabelsRefused
    │   ├── NoFaceFound
    │   ├── NoFaceMatched
    │   ├── FaceUnfit
    │   ├── FaceForgotten
    │   ├── FaceIndexOutOfRange
    │   ├── WorkflowRefused
    │   ├── NothingMade
    │   ├── ContentRefused
    │   ├── InputMissing
    │   ├── InputRefused
    │   ├── MaskEmpty
    │   ├── TaskUnavailable
    │   ├── CheckpointRefused
    │   └── FileRefused
    ├── TransientError              the same step may succeed later; retried by the state machine
    │   ├── ProviderThrottled
    │   ├── ProviderUnavailable
    │   ├── ImageHostUnavailable
    │   ├── ModelUnavailable
    │   └── MasksNotDelivered
    └── DefectError                 ours, the operator's or a provider's; never retried, alarmed
        ├── ProviderRefused
        ├── ProviderAnswerInvalid
        ├── ProviderTimedOut
        ├── MaybePaid
        ├── ModelRefused
        ├── ModelFailed
        ├── ModelTimedOut
        ├── OutputInvalid
        ├── WorkflowFailed
        ├── GpuOutOfMemory
        ├── WorkflowStalled
        ├── WorkflowTimedOut
        ├── ComfyuiCrashed
        ├── DeadLettered
        ├── NotStarted
        ├── QueueFull
        ├── NotDeployed
        ├── TimedOut
        ├── Aborted
        └── Unexpected

A class name is what `SendTaskFailure` sends, what a state machine's `ErrorEquals` matches, what `task_store` keeps as
`error_name` and what the failure metric counts. The public code is the same name in capitals: `NoFaceFound` is
`NO_FACE_FOUND`.
"""

import re
from typing import ClassVar


class BacklotError(Exception):
    """The root: carries a sentence of cause, built from the fields that it is given, and a remedy.

    Args:
        fields: values for the placeholders of `sentence`; they stay on the error as attributes of `fields`.
    """

    #: What happened; `str.format` placeholders name the fields.
    sentence: ClassVar[str]
    #: What the reader can do about it.
    remedy: ClassVar[str]
    #: Whether sending the same request again may succeed.
    retry: ClassVar[bool] = False

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(self.sentence.format(**fields))

    @classmethod
    def code(cls) -> str:
        """Return the public code, `NoFaceFound` → `NO_FACE_FOUND`."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).upper()

    @classmethod
    def meaning(cls) -> str:
        """Return a sentence for an error of which only the name is known, so that its fields cannot be filled in."""
        return cls.sentence if "{" not in cls.sentence else (cls.__doc__ or cls.remedy).splitlines()[0]


class CallerError(BacklotError):
    """The request cannot succeed as it stands."""


class TransientError(BacklotError):
    """The same step may succeed later; the state machine retries it before anybody hears of it."""

    retry = True


class DefectError(BacklotError):
    """Something of ours, of the operator's or of a provider's is broken."""


class ApiKeyMissing(CallerError):
    """The gateway let a request in without saying by which API key, so that nobody owns it."""

    sentence = "The request carries no API key"
    remedy = "Send a key of this deployment in the header x-api-key."


class RequestTooLarge(CallerError):
    """A request's body is larger than a function can be given."""

    sentence = "The request has {size_bytes} bytes, {limit_bytes} are allowed; POST /api/v1/uploads takes larger images"
    remedy = "Upload the images, see POST /api/v1/uploads, and send their image_url instead."


class TaskNotFound(CallerError):
    """No task of this id belongs to the caller's API key."""

    sentence = "{kind} not found"
    remedy = "Check the id, and that the API key is the one that submitted it."


class OperationNotFound(CallerError):
    """The path names an operation that the catalogue does not have."""

    sentence = "There is no operation {operation!r}."
    remedy = "GET /api/v1/operations lists the operations."


class IdempotencyKeyReused(CallerError):
    """An `Idempotency-Key` came again with another body or operation."""

    sentence = "The Idempotency-Key was used before with another request."
    remedy = "Send the first request again unchanged, or choose a new key."


class TaskHasEnded(CallerError):
    """A task was to be cancelled that has ended already."""

    sentence = "The task is {status} already"
    remedy = "Nothing is left to cancel; read the task."


class TaskNotFailed(CallerError):
    """A task was to be retried that has not failed."""

    sentence = "Only failed tasks can be retried; this one is {status}"
    remedy = "Wait until the task has ended, or submit a new one."


class Cancelled(CallerError):
    """The task was cancelled by its owner; what its execution ends with."""

    sentence = "The task was cancelled"
    remedy = "Submit again if it is wanted after all."


class ImageUrlRefused(CallerError):
    """The URL of an image is one that Backlot does not fetch."""

    sentence = "The image URL is refused: {reason}"
    remedy = "Send a public https URL, or an s3:// or CDN URL of this deployment."


class ImageNotFetched(CallerError):
    """The image's host answered, but not with the image."""

    sentence = "The image cannot be fetched: {reason}"
    remedy = "Check that the URL opens without a login and still exists."


class ImageTooLarge(CallerError):
    """The image has more bytes or pixels than Backlot takes."""

    sentence = "The image is too large: {reason}"
    remedy = "Send an image of at most 20 MB and 50 megapixels."


class ImageUnreadable(CallerError):
    """The bytes are not an image that can be decoded."""

    sentence = "The image cannot be read: {reason}"
    remedy = "Send a complete still picture as JPEG, PNG, WebP, GIF, BMP or TIFF."


class ImageShapeRefused(CallerError):
    """The picture's width, height or aspect ratio lies outside what the models take."""

    sentence = "The image's shape is refused: {reason}"
    remedy = "Send a picture with sides of at least 15 px and an aspect ratio of at most 16:1."


class LabelsRefused(CallerError):
    """The labels of a region are none of those that the model's checkpoint was trained for."""

    sentence = "The labels are refused: {reason}"
    remedy = "Publish a checkpoint of the data set that the regions are meant for; body masks need ATR's."


class NoFaceFound(CallerError):
    """The detector found no face."""

    sentence = "No faces detected in the image"
    remedy = "Send a picture in which a face is clearly visible."


class NoFaceMatched(CallerError):
    """The detector found no face that `face_position_prompt` describes."""

    sentence = "No face in the image fits the face_position_prompt"
    remedy = "Describe who is meant in other words, or leave face_position_prompt out and count by face_index."


class FaceUnfit(CallerError):
    """The picture of a face is too small, blurred, dark or bright to keep its identity; nothing was paid."""

    sentence = "The face cannot be used: {reason}"
    remedy = "Take a sharp picture in even light in which the face is at least 112 px wide and looks into the camera."


class FaceForgotten(CallerError):
    """The picture of a face was deleted before the work began; faces are kept for an hour."""

    sentence = "The picture of the face is not kept any more"
    remedy = "Send the request again with its picture."


class FaceIndexOutOfRange(CallerError):
    """`face_index` is not below the number of faces that were found."""

    sentence = "Face index {face_index} out of range (detected {faces} faces)"
    remedy = "Count faces from 0 in the detector's order, and stay below their number."


class WorkflowRefused(CallerError):
    """A ComfyUI workflow names nodes, inputs or values that are not allowed or do not exist."""

    sentence = "The workflow cannot be run: {problems}"
    remedy = "Correct the nodes and inputs that are named, or ask the operator to allow the node class."


class NothingMade(CallerError):
    """A workflow ran to its end and stored nothing."""

    sentence = "The workflow ran, but made no picture and no other file"
    remedy = "Give it a node that saves its output, such as SaveImage."


class ContentRefused(CallerError):
    """A provider's moderation refused the input or the output; final."""

    sentence = "{provider} refused the content: {reason}"
    remedy = "Change the picture or the prompt; the same request will be refused again."


class InputMissing(CallerError):
    """A model of our own needs a picture or a mask that the request does not bring."""

    sentence = "An input is missing: {reason}"
    remedy = "Send the picture or the mask that is named."


class InputRefused(CallerError):
    """A model of our own cannot use what the request brings in the way that it asks for."""

    sentence = "The input is refused: {reason}"
    remedy = "Change what is named, and send the request again."


class MaskEmpty(CallerError):
    """Nothing is marked in a mask, or nothing was found where the request points."""

    sentence = "No masks found: {reason}"
    remedy = "Mark in white what is meant, or point at it."


class TaskUnavailable(CallerError):
    """A model of our own has no weights for what it is asked."""

    sentence = "The model cannot do this here: {reason}"
    remedy = "Ask the operator to publish the weights that are named, see make publish-model."


class CheckpointRefused(CallerError):
    """A task's checkpoint does not fit the model that it was published for."""

    sentence = "The checkpoint is refused: {reason}"
    remedy = "Ask the operator to publish another checkpoint for the task; the next request takes it."


class FileRefused(CallerError):
    """A large file that a model of our own was to read is not there, is too long, or is not what it should be."""

    sentence = "The file is refused: {reason}"
    remedy = "Ask the operator to publish it again; the next request takes it."


class ProviderThrottled(TransientError):
    """A provider answered that too many requests came (HTTP 429)."""

    sentence = "{provider} is limiting our requests: {reason}"
    remedy = "Submit again in a minute; the operator can ask the provider for a higher limit."


class ProviderUnavailable(TransientError):
    """A provider cannot be reached, or answered with a server error (HTTP 5xx)."""

    sentence = "{provider} is unavailable: {reason}"
    remedy = "Submit again in a few minutes."


class ImageHostUnavailable(TransientError):
    """The host of an image cannot be reached, or answered with a server error."""

    sentence = "The image's host is unavailable: {reason}"
    remedy = "Submit again in a few minutes, or send the image from another host."


class ModelUnavailable(TransientError):
    """A model of our own cannot take the request for the moment: throttled, out of memory, or restarting."""

    sentence = "The model {model} is unavailable: {reason}"
    remedy = "Submit again in a few minutes."


class MasksNotDelivered(TransientError):
    """The mask asset service did not take the masks; they stay where the task says."""

    sentence = "The mask asset service did not take the masks: {reason}"
    remedy = "Read the masks from the task; the operator has to look at the mask asset service."


class ProviderRefused(DefectError):
    """A provider refused our key, our account, the model or the form of our request."""

    sentence = "{provider} refused our request: {reason}"
    remedy = "The operator has to check the provider's key, balance and model in this stage's configuration."


class ProviderAnswerInvalid(DefectError):
    """A provider's complete answer does not hold what its API promises."""

    sentence = "{provider} gave an answer that cannot be used: {reason}"
    remedy = "Submit again; if it repeats, the operator has to compare the provider's API with ours."
    retry = True


class ProviderTimedOut(DefectError):
    """A provider did not answer within our limit; it may have charged for the call, so we do not repeat it."""

    sentence = "{provider} did not answer within {limit_s} s; it may have charged for the call"
    remedy = "Submit again if you accept that it may be paid twice."
    retry = True


class MaybePaid(DefectError):
    """A paid call was sent and its answer was lost, so that we cannot know whether it was charged."""

    sentence = "{provider} may have charged for a call whose answer was lost: {reason}"
    remedy = "Submit again if you accept that it may be paid twice."
    retry = True


class ModelRefused(DefectError):
    """SageMaker does not take the request: the endpoint does not exist, or our role may not use it."""

    sentence = "The model {model} cannot be asked: {reason}"
    remedy = "The operator has to publish the model's checkpoint, deploy, and look at the endpoint."


class ModelFailed(DefectError):
    """A model of our own broke on the request, or gave an answer that cannot be used."""

    sentence = "The model {model} failed: {reason}"
    remedy = "Submit again; if it repeats, the operator finds the reason in the endpoint's log."
    retry = True


class ModelTimedOut(DefectError):
    """A model of our own was not done within our limit, the start of an instance included."""

    sentence = "The model {model} was not done within {limit_s} s"
    remedy = "Submit again; if it repeats, the operator has to look at the endpoint's instances."
    retry = True


class OutputInvalid(DefectError):
    """A model of our own computed values that are no numbers, so that there is no picture."""

    sentence = "The model's output cannot be used: {reason}"
    remedy = "Ask with another seed; if it repeats, the operator has to check the model's weights and its placement."


class WorkflowFailed(DefectError):
    """A node of a workflow broke while it ran."""

    sentence = "Node {node} ({node_class}) failed: {reason}"
    remedy = "Check the node's inputs; if they are right, the operator finds the traceback in the worker's log."
    retry = True


class GpuOutOfMemory(DefectError):
    """The GPU's memory does not suffice for a workflow, not even with nothing else in it."""

    sentence = "Node {node} ({node_class}) needs more memory than the GPU has"
    remedy = "Send smaller pictures or fewer of them, or ask the operator for larger GPUs."


class WorkflowStalled(DefectError):
    """ComfyUI stopped making progress with a workflow."""

    sentence = "ComfyUI made no progress for {limit_s} s in node {node}"
    remedy = "Submit again; if it repeats, the operator finds the reason in ComfyUI's log."
    retry = True


class WorkflowTimedOut(DefectError):
    """A workflow took longer on the GPU than the stage allows."""

    sentence = "The workflow was not done after {limit_s} s"
    remedy = "Ask for fewer steps or smaller pictures, or ask the operator for a higher limit."


class ComfyuiCrashed(DefectError):
    """ComfyUI died as often as we try, always with this workflow."""

    sentence = "ComfyUI died {times} times while it ran the workflow"
    remedy = "Submit again; if it repeats, the operator finds the reason in ComfyUI's log."
    retry = True


class DeadLettered(DefectError):
    """A step's message was received as often as its queue allows without being answered."""

    sentence = "The step was started {receives} times and never finished; its message is in {queue}"
    remedy = "Submit again; the operator finds the message in the dead-letter queue and the reason in the worker's log."
    retry = True


class NotStarted(DefectError):
    """Step Functions throttles us or cannot be reached, so that a task could not be retried."""

    sentence = "The task cannot be started for the moment"
    remedy = "Send the request again in a few seconds."
    retry = True


class QueueFull(DefectError):
    """As many tasks of an operation wait or run as the stage takes at once."""

    sentence = "Queue is full. Please try again later."
    remedy = "Send the request again when some of the tasks have ended."
    retry = True


class NotDeployed(DefectError):
    """The stage has no machines for an operation, because their models are not published."""

    sentence = "This stage has no machines for {operation} yet"
    remedy = "The operator has to publish the models and deploy again; the outputs of the deployment say which."


class TimedOut(DefectError):
    """The task, or one of its steps, was not done within its time limit."""

    sentence = "The task was not done within its time limit"
    remedy = "Submit again; if it repeats, the operator has to look at the queue's backlog."
    retry = True


class Aborted(DefectError):
    """The task's execution was stopped by hand."""

    sentence = "The task was stopped by the operator"
    remedy = "Ask the operator why, then submit again."
    retry = True


class Unexpected(DefectError):
    """Whatever has no name of its own; the log has the details."""

    sentence = "An unexpected error ended the task"
    remedy = "Submit again; the operator finds the reason in the task's execution."
    retry = True


def _tree(root: type[BacklotError]) -> dict[str, type[BacklotError]]:
    """Return the errors that can occur, by name; those that only group others have no sentence and are left out."""
    named = {root.__name__: root} if hasattr(root, "sentence") else {}
    for child in root.__subclasses__():
        named |= _tree(child)
    return named


#: Errors that Step Functions itself reports, and what they are in our tree.
STATES_ERRORS: dict[str, type[BacklotError]] = {
    "States.Timeout": TimedOut,
    "States.HeartbeatTimeout": TimedOut,
}


def error_class(name: str | None) -> type[BacklotError]:
    """Return the class of an error name as a task record or a state machine gives it.

    Args:
        name: a class name of this module, or a name of Step Functions' own.

    Returns:
        The class; `Unexpected` for a name that nobody has given a meaning.
    """
    return _tree(BacklotError).get(name or "") or STATES_ERRORS.get(name or "", Unexpected)
