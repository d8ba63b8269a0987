"""botocore's HTTP session, with connections that belong to calls, and with a bound of what is read at once."""

from typing import Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
    AWSPreparedRequest,
    AWSResponse,
)
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.httpsession import URLLib3Session
from urllib3.exceptions import HTTPError
from urllib3.exceptions import ReadTimeoutError as UrllibReadTimeoutError

from hitchpost.errors import BadBackendAnswerError
from hitchpost_bedrock.aws.call import CallInterrupted, find_current_call

MAX_ANSWER_BYTES = 64 * 2**20


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


class _BoundedResponse(AWSResponse):
    """An answer whose `content` is never larger than an answer may be; botocore itself would read for as long as a server sends."""

    def __init__(self, response: AWSResponse) -> None:
        super().__init__(response.url, response.status_code, response.headers, response.raw)
        self._whole: bytes | None = None

    @property
    def content(self) -> bytes:
        """The body, read at the first use.

        Raises:
            BadBackendAnswerError: it is too large.
            HTTPError: the connection broke.
        """
        if self._whole is None:
            read = bytearray()
            for piece in self.raw.stream():
                read += piece
                if len(read) > MAX_ANSWER_BYTES:
                    self.raw.close()
                    raise BadBackendAnswerError(f"Bedrock answered more than {MAX_ANSWER_BYTES} bytes")
            self._whole = bytes(read)
        return self._whole


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
            BadBackendAnswerError: the answer is too large.
            CallInterrupted: nobody waits for the answer.
        """
        call = find_current_call()
        try:
            return self._answer(request)
        except Exception as error:
            if call is not None and call.is_interrupted:
                # What the shut socket looked like would be retried.
                raise CallInterrupted from error
            raise

    def _answer(self, request: AWSPreparedRequest) -> AWSResponse:
        is_streamed = request.stream_output
        request.stream_output = True
        try:
            response = _BoundedResponse(self.send(request))
        finally:
            request.stream_output = is_streamed
        if not is_streamed:
            try:
                response.content  # noqa: B018 - reads it, as botocore's own session does before it returns
            except UrllibReadTimeoutError as error:
                raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
            except HTTPError as error:
                raise ConnectionClosedError(endpoint_url=request.url, request=request, error=error) from error
        return response


__all__ = ["MAX_ANSWER_BYTES", "InterruptibleSession"]
