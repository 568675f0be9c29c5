"""A queue of work items, and its dead-letter queue."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct


class WorkQueue(Construct):
    """A queue; what is received too often goes to its dead-letter queue and stays there for a person.

    Args:
        queue_name: ends with `_queue`, a suffix of the stage after it, and `.fifo` behind both if it is one.
        suffix: of the stage.
        visibility: after how long a message of a vanished worker comes back.
        max_receives: after how many receives it goes to the dead-letter queue.
        fifo: whether the messages of a group stay in their order.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        queue_name: str,
        suffix: str,
        visibility: Duration,
        max_receives: int,
        fifo: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        self.name = queue_name
        ending = ".fifo" if fifo else ""
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            queue_name=queue_name.removesuffix("_queue") + f"_dlq{suffix}{ending}",
            fifo=fifo or None,
            retention_period=Duration.days(14),
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=queue_name + suffix + ending,
            fifo=fifo or None,
            visibility_timeout=visibility,
            retention_period=Duration.days(14),
            receive_message_wait_time=Duration.seconds(20),
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=max_receives),
        )

    def grant_send(self, role: iam.Role) -> None:
        """Let a function send messages."""
        role.add_to_policy(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[self.queue.queue_arn]))

    def alarms(self, scope: Construct, *, age_s: int) -> list[cloudwatch.Alarm]:
        """Make the alarms of work that nobody finished, and of work that nobody begins."""
        minute = Duration.minutes(1)
        return [
            cloudwatch.Alarm(
                scope,
                f"{self.node.id}DeadLetters",
                alarm_description=f"Work items nobody could finish lie in the dead-letter queue of {self.name}.",
                metric=self.dead_letters.metric_approximate_number_of_messages_visible(
                    period=minute, statistic="Maximum"
                ),
                threshold=1,
                evaluation_periods=1,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            ),
            cloudwatch.Alarm(
                scope,
                f"{self.node.id}Age",
                alarm_description=f"The oldest work item in {self.name} waits for more than {age_s} s.",
                metric=self.queue.metric_approximate_age_of_oldest_message(period=minute, statistic="Maximum"),
                threshold=age_s,
                evaluation_periods=2,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            ),
        ]
