"""Every error that Tidings raises on purpose, in one tree.

    TidingsError                      what a person is told in one line
    ├── ConfigurationError            a setting or a machine that must be put right first
    ├── NotStarted                    a program that `up` runs could not be started, or ended before it was ready
    ├── AlreadyUp                     another `up` holds this state folder
    ├── BrokerUnavailable             RabbitMQ cannot be reached, or its connection was lost
    │   ├── NotConfirmed              a publish that the broker did not confirm in time: it may still arrive
    │   └── ChannelRefused            the broker closed the channel over one of several publishes in flight
    ├── Unroutable                    no queue takes an event (AMQP basic.return)
    ├── PublishRejected               a queue would not take it, or its kind may not be published (basic.nack, 403)
    ├── MessageRefused                this very message cannot be published: a further try is useless
    ├── TopologyConflict              a queue or exchange exists with other arguments
    ├── DatabaseUnavailable           the database cannot be reached or is locked for too long
    ├── Busy                          another delivery of the same event is at work
    ├── LeaseLost                     another process has taken the lease over
    ├── NotStored                     a file of a result is not in the store that is set
    ├── NotKnown                      an operator named something that does not exist
    │   └── Gone                      it did exist
    ├── Hopeless                      no further try can help, whatever a consumer's rules say
    │   ├── InvalidParameters         what a job is to work on does not fit its kind
    │   ├── UnfitResult               what a job's function gave is not what its kind says
    │   └── NoSuchJob                 a message asks for a job that is not there
    ├── NotPossible                   an operator asked for what the present state does not allow
    ├── NotNow                        what an operator asked for has to wait a moment, and nobody waits for it here
    └── EffectError                   an effect that did not happen
        ├── EffectRefused             refused for good: a further try is useless
        └── EffectFailed              failed for now: a further try may help
            └── EffectUnknown         it may have happened: no answer came

The errors of reading an event are in `events.errors`, the `RetryAfter` that a handler raises is in `infra.retrying`;
each business error lives beside the service that raises it.
"""


class TidingsError(Exception):
    """Base of all: its text is one line that says what happened and what to do."""

    @property
    def lines(self) -> list[str]:
        """What whoever typed a command is told: as many lines as there are things to put right."""
        return [str(self)]


class ConfigurationError(TidingsError):
    """A setting, or something missing on this machine, keeps the program from starting."""


class NotStarted(TidingsError):
    """A program that `up` runs could not be started, or ended before it was ready."""


class AlreadyUp(TidingsError):
    """Another `up` holds this state folder."""


class BrokerUnavailable(TidingsError):
    """RabbitMQ cannot be reached, or the connection was lost under way."""


class NotConfirmed(BrokerUnavailable):
    """The broker did not confirm a publish within its deadline; the message may still arrive."""


class ChannelRefused(BrokerUnavailable):
    """The broker closed the channel over a publish (403, 406), and with several in flight nobody knows which."""


class Unroutable(TidingsError):
    """No queue is bound for the message (AMQP 0-9-1 basic.return on a mandatory publish)."""


class PublishRejected(TidingsError):
    """A queue did not take the message over (AMQP basic.nack), or this program may not publish messages of its kind."""


class MessageRefused(TidingsError):
    """The fault lies in the message itself: too large, not an event, or refused by the broker when it was alone."""


class TopologyConflict(TidingsError):
    """A queue or exchange of ours exists on the broker with other arguments than ours (AMQP 406)."""


class DatabaseUnavailable(TidingsError):
    """The database cannot be reached, or its write lock was not free in time."""


class Busy(TidingsError):
    """Another delivery of the same event is at work on it; once that has ended, this one finds what is left to do."""


class LeaseLost(TidingsError):
    """The lease ran out and another process holds it now; what was done under it must not be written."""


class NotStored(TidingsError):
    """A file of a result is not in the store that the settings name."""


class NotKnown(TidingsError):
    """What an operator named does not exist."""


class Gone(NotKnown):
    """What an operator named is there no more, and will not come again."""


class Hopeless(TidingsError):
    """The very same would happen at each further try, so there is none."""


class InvalidParameters(Hopeless):
    """The parameters of a job do not fit its kind."""


class UnfitResult(Hopeless):
    """What a job's function gave, or called a file, does not fit its kind."""


class NoSuchJob(Hopeless):
    """The job that a message asks for is not in the database."""


class NotPossible(TidingsError):
    """The present state does not allow what an operator asked for."""


class NotNow(TidingsError):
    """What an operator asked for cannot be done while something else is under way, which is over soon: ask again."""


class EffectError(TidingsError):
    """An effect (an e-mail, say) did not happen."""


class EffectRefused(EffectError):
    """The other side refused the effect for good (SMTP 5xx)."""


class EffectFailed(EffectError):
    """The effect failed for now (SMTP 4xx, timeout, disconnect) and may be tried again."""


class EffectUnknown(EffectFailed):
    """The connection was lost while the answer was awaited: the effect may have happened."""
