"""A video with more detections than one statement should delete."""

from tests.contracts.stored import frames_of, keep
from tests.support.factories import make_frame, make_job, make_segment, make_video
from vidintel.application.ports import UnitOfWorkFactory


async def test_all_detections_of_a_long_video_go_with_it_and_no_others(unit_of_work: UnitOfWorkFactory) -> None:
    video, other = make_video(), make_video()
    job, other_job = make_job(video=video), make_job(video=other)
    segment, other_segment = make_segment(job=job), make_segment(job=other_job)
    await keep(unit_of_work, video, job, segment, other, other_job, other_segment)
    async with unit_of_work() as uow:
        frames = (make_frame(number, "car", "truck", "person") for number in range(15_000))
        await uow.detections.add_all(segment, video.id, frames)
        await uow.detections.add_all(other_segment, other.id, [make_frame(7)])
        await uow.commit()

    async with unit_of_work() as uow:
        await uow.videos.delete(video.tenant_id, video.id)
        await uow.commit()

    async with unit_of_work() as uow:
        assert await frames_of(uow, job) == []
        assert [frame.frame for frame in await frames_of(uow, other_job)] == [7]
