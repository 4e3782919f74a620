"""The container of the API process."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version

from vidintel.application.jobs.requests import CancelJob, GetJob, ListJobs, RequestAnalysis, RetryJob
from vidintel.application.pipeline.snapshots import OpenPicture
from vidintel.application.queries.detections import ListDetections
from vidintel.application.queries.frames import RenderFrame
from vidintel.application.queries.models import ListModels
from vidintel.application.queries.readiness import CheckReadiness
from vidintel.application.queries.results import GetResults, GetTimeline
from vidintel.application.queries.tracks import ListTracks
from vidintel.application.videos.acceptance import AcceptContent
from vidintel.application.videos.content import OpenContent
from vidintel.application.videos.library import DeleteVideo, GetVideo, ListVideos, UpdateVideo
from vidintel.application.videos.registration import RegisterVideo
from vidintel.infrastructure.database.engine import check_database
from vidintel.infrastructure.identity.clerk import ClerkTokenVerifier
from vidintel.infrastructure.media.rendering import SubprocessFrameRenderer
from vidintel.infrastructure.storage.factory import StoredOpener
from vidintel.presentation.http.dependencies import HttpServices
from vidintel.presentation.http.token_verifier import TokenVerifier
from vidintel.settings.errors import CannotRun
from vidintel.wiring.providers import CONTAINER, factory, singleton
from vidintel.wiring.shared import SharedWiring


class HttpWiring(SharedWiring):
    """The use cases behind the HTTP edge, and what they stand on."""

    __self__ = CONTAINER

    @singleton
    def verifier(self) -> TokenVerifier:
        auth = self.settings().auth
        if auth.jwt_key is None or auth.issuer is None:
            raise CannotRun(
                "Set VIDINTEL_AUTH__JWT_KEY and VIDINTEL_AUTH__ISSUER to your Clerk instance's public key and URL, "
                "or run `vidintel serve` for a development issuer."
            )
        return ClerkTokenVerifier(
            jwt_key=auth.jwt_key.get_secret_value(),
            issuer=auth.issuer,
            authorized_parties=auth.authorized_parties,
            counted=self.cache_statistics(),
        )

    @singleton
    def renderer(self) -> SubprocessFrameRenderer:
        return SubprocessFrameRenderer(StoredOpener(self.settings()))

    @factory
    def accept_content(self) -> AcceptContent:
        return AcceptContent(
            uow=self.uow, storage=self.storage(), clock=self.clock(), max_upload_bytes=self.max_upload_bytes
        )

    @factory
    def register_video(self) -> RegisterVideo:
        return RegisterVideo(
            uow=self.uow,
            accept_content=self.accept_content(),
            specs=self.specs(),
            clock=self.clock(),
            retention=self.retention,
        )

    @factory
    def check_readiness(self) -> CheckReadiness:
        checks: dict[str, Callable[[], Awaitable[None]]] = {
            "database": lambda: check_database(self.engine()),
            "storage": self.storage().check,
        }
        return CheckReadiness(checks, self.circuits().states)

    @factory
    def http_services(self) -> HttpServices:
        return HttpServices(
            register_video=self.register_video(),
            list_videos=ListVideos(self.query_uow),
            get_video=GetVideo(self.video_reads()),
            update_video=UpdateVideo(self.uow, self.clock()),
            delete_video=DeleteVideo(self.uow, self.clock()),
            open_content=OpenContent(self.query_uow, self.storage()),
            request_analysis=RequestAnalysis(self.uow, self.specs(), self.clock()),
            list_jobs=ListJobs(self.query_uow),
            get_job=GetJob(self.video_reads()),
            cancel_job=CancelJob(self.uow, self.clock()),
            retry_job=RetryJob(self.uow, self.clock()),
            list_detections=ListDetections(self.query_uow),
            list_tracks=ListTracks(self.query_uow),
            get_timeline=GetTimeline(self.query_uow),
            open_picture=OpenPicture(self.query_uow, self.storage()),
            get_results=GetResults(self.query_uow),
            render_frame=RenderFrame(self.query_uow, self.renderer()),
            list_models=ListModels(self.registry()),
            check_readiness=self.check_readiness(),
            verifier=self.verifier(),
            clock=self.clock(),
            meter=self.telemetry(),
            tracing=self.tracing(),
            expose_metrics=self.exposition(),
            http=self.settings().http,
            metrics=self.settings().metrics,
            limits=self.limits,
            version=version("vidintel"),
        )
