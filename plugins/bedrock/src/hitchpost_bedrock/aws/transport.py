"""botocore's HTTP session, with connections that belong to calls."""

from typing import Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
    AWSPreparedRequest,
    AWSResponse,
)
from botocore.httpsession import URLLib3Session

from hitchpost_bedrock.aws.call import CallInterrupted, find_current_call


class _Held:
    """Tells the current call of its socket."""

    sock: Any
    timeout: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self._tell_call()

    def request(self, *args: Any, **fields: Any) -> Any:
        if self.sock is not None:
            self._tell_call()
        return super().request(*args, **fields)  # type: ignore[misc]

    def getresponse(self) -> Any:
        call = find_current_call()
        if call is not None and call.says_nothing_until_done:
            self.timeout = None
        return super().getresponse()  # type: ignore[misc]

    def _tell_call(self) -> None:
        call = find_current_call()
        if call is not None:
            call.hold(self.sock)


class _Connection(_Held, AWSHTTPConnection):
    pass


class _TlsConnection(_Held, AWSHTTPSConnection):
    pass


class _Pool(AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(AWSHTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class InterruptibleSession(URLLib3Session):
    """Sends the requests of one client.

    botocore has no argument for another session; its event `before-send` takes the answer from whoever gives one, which is `answer` here.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # The managers of pools, those of proxies too, hold this very dictionary.
        self._pool_classes_by_scheme.update(http=_Pool, https=_TlsPool)

    def answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        """Send a request; a handler of `before-send`.

        Raises:
            HTTPClientError: as botocore's own session.
            CallInterrupted: nobody waits for the answer.
        """
        call = find_current_call()
        try:
            return self.send(request)
        except Exception as error:
            if call is not None and call.is_interrupted:
                # What the shut socket looked like would be retried.
                raise CallInterrupted from error
            raise


__all__ = ["InterruptibleSession"]
