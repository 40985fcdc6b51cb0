"""The worker process: Blender's requests, done by the model.

    python -m vendor_model.worker --checkpoint FOLDER

It is ready before anything heavy is imported; the model loads with the first job that needs it and
stays. The process ends the moment its standard input does, also in the middle of a job, so it never
outlives the program that started it.
"""

import argparse
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from vendor_model import protocol
from vendor_model.memory import give_back, is_out_of_memory, peak_memory
from vendor_model.serving import Handler, JobProgress, serve


class ModelJobs:
    """The real handlers. Keeps the model, and of the last photo its pixels, its scene and its segmenter.

    The heavy packages are imported in here, by the job that first needs them.
    """

    def __init__(self, checkpoint: Path):
        self._checkpoint = checkpoint
        self._pipeline = self._pipeline_memory = None
        self._photo_key: str | None = None
        self._photo = self._scene = self._scene_key = None
        self._segmenter = self._segmenter_model = self._segmenter_photo_key = None

    def handlers(self) -> dict[type, Handler]:
        return {
            protocol.LoadPhoto: self.load_photo,
            protocol.Segment: self.segment,
            protocol.FindObjects: self.find_objects,
            protocol.Reconstruct: self.reconstruct,
            protocol.ObtainModel: self.obtain_model,
            protocol.Status: self.status,
        }

    def clear(self) -> None:
        """Give back what a job that has not come to its end took of the device, but for what stays loaded."""
        if self._pipeline is not None:
            self._pipeline.models.end_stage()
            give_back()

    def load_photo(self, request: protocol.LoadPhoto, progress: JobProgress) -> protocol.PhotoLoaded:
        photo = self._read_photo(request, progress)
        return protocol.PhotoLoaded(request.job, *photo.size, photo.focal_px)

    def segment(self, request: protocol.Segment, progress: JobProgress) -> protocol.Segmented:
        import numpy as np

        points, labels = np.array(request.points, np.float32).reshape(-1, 2), np.array(request.labels, bool)
        mask = self._segmented(request, progress, lambda one: one.mask(points, labels, request.box))
        return protocol.Segmented(request.job, write_array(request.folder, "mask", mask))

    def find_objects(self, request: protocol.FindObjects, progress: JobProgress) -> protocol.ObjectsFound:
        found = self._segmented(request, progress, lambda one: one.find_objects(request.text, progress))
        masks = (write_array(request.folder, f"mask_{i}", one.mask) for i, one in enumerate(found))
        return protocol.ObjectsFound(request.job, tuple(masks), tuple(float(one.score) for one in found))

    def reconstruct(self, request: protocol.Reconstruct, progress: JobProgress) -> protocol.Reconstructed:
        import numpy as np

        photo = self._read_photo(request, progress)
        if request.focal_px is not None:
            photo = dataclasses.replace(photo, focal_px=request.focal_px)
        masks = [np.load(path, allow_pickle=False) for path in request.masks]
        depth = None if request.depth is None else np.load(request.depth.path, allow_pickle=False)
        pipeline = self._load_pipeline(request.memory, progress)
        scene_key = request.depth and request.depth.key, request.focal_px
        if self._scene_key != scene_key:
            self._scene = self._scene_key = None  # the one before makes room first
            self._scene = pipeline.set_photo(photo, progress, depth)
            self._scene_key = scene_key
        made = pipeline.reconstruct(
            self._scene, masks, request.seed, progress, request.refine_layout, request.preset
        )
        height, width = photo.size
        return protocol.Reconstructed(
            request.job,
            tuple(_object_files(request.folder, i, one) for i, one in enumerate(made)),
            tuple(map(tuple, self._scene.point_map.intrinsics.tolist())),
            height,
            width,
            progress.seconds(),
            peak_memory(),
        )

    def obtain_model(self, request: protocol.ObtainModel, progress: JobProgress) -> protocol.ModelObtained:
        from vendor_model.checkpoints.conversion import convert
        from vendor_model.checkpoints.download import download_model

        configuration, target = Path(request.configuration), Path(request.target)
        if request.source is None:
            download_model(configuration, target, progress)
        else:
            convert(Path(request.source), target, progress, configuration)
        return protocol.ModelObtained(request.job, request.target)

    def status(self, request: protocol.Status, progress: JobProgress) -> protocol.WorkerStatus:
        loaded = self._pipeline is not None
        return protocol.WorkerStatus(
            request.job,
            self._checkpoint.name if loaded else None,
            str(self._pipeline.device) if loaded else None,
            peak_memory(),
        )

    def _load_pipeline(self, memory: str | None, progress: JobProgress):
        """The model, loaded anew when another memory mode is asked for; its notices go to this job.

        A segmenter stays beside it only where there is memory for all of the model.
        """
        if self._pipeline is None or self._pipeline_memory != memory:
            progress("model", 0.0)
            _leave_cores_to_blender()
            self._pipeline = None  # what it holds makes room first
            self._pipeline = self._new_pipeline(memory, progress)
            if memory is None and self._crowds_the_model():
                self._forget_segmenter()
                # In a mode by what is free now; in the small one nothing was loaded yet.
                self._pipeline = self._new_pipeline(memory, progress)
            self._pipeline_memory = memory
        if self._crowds_the_model():
            self._forget_segmenter()
        self._pipeline.notify = progress.notice
        return self._pipeline

    def _new_pipeline(self, memory: str | None, progress: JobProgress):
        from vendor_model.pipeline import Pipeline
        from vendor_model.residency import MemoryMode

        return Pipeline.load(self._checkpoint, memory=memory and MemoryMode(memory), notify=progress.notice)

    def _crowds_the_model(self) -> bool:
        """Whether a downloaded segmenter is held beside a model that has not all the memory it could use."""
        from vendor_model.residency import MemoryMode

        return bool(self._segmenter_model) and self._pipeline.models.mode != MemoryMode.HIGH

    def _segmented(self, request, progress: JobProgress, work: Callable):
        """work(segmenter) of the request's `segmentation.segmenters.ClickSegmenter`, which has looked at the
        request's photo. Where memory runs out it takes the place of the model."""
        photo = self._read_photo(request, progress)
        try:
            return work(self._looked_at(request, photo, progress))
        except Exception as error:
            if self._pipeline is None or not is_out_of_memory(error):
                raise
        # Only here, where the error no longer holds on to what was being computed.
        self._pipeline = self._scene = self._scene_key = None
        self._forget_segmenter()
        return work(self._looked_at(request, photo, progress))

    def _forget_segmenter(self) -> None:
        self._segmenter = self._segmenter_model = self._segmenter_photo_key = None
        give_back()

    def _looked_at(self, request, photo, progress: JobProgress):
        if self._segmenter_model != request.segmenter:
            progress("model", 0.0)
            from vendor_model.segmentation.segmenters import load_segmenter

            self._segmenter = self._segmenter_model = self._segmenter_photo_key = None
            _leave_cores_to_blender()
            self._segmenter = load_segmenter(request.segmenter)
            self._segmenter_model = request.segmenter
        progress("segment", 0.0)
        if self._segmenter_photo_key != request.photo.key:
            self._segmenter_photo_key = None
            self._segmenter.set_photo(photo.rgb)
            self._segmenter_photo_key = request.photo.key
        return self._segmenter

    def _read_photo(self, request, progress: JobProgress):
        """The request's `types.Photo`; what was derived from another one before is dropped."""
        if request.photo.key != self._photo_key:
            progress("photo", 0.0)
            self._photo = _load_photo(Path(request.photo.path), Path(request.folder))
            self._photo_key = request.photo.key
            self._scene = self._scene_key = None
        return self._photo


def _leave_cores_to_blender() -> None:
    """Threads that wait for a core that Blender is using are many times slower than fewer threads."""
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))


def _load_photo(path: Path, job_folder: Path):
    if path.parent == job_folder:  # pixels that the client wrote there
        import numpy as np

        from vendor_model.types import Photo

        return Photo(np.load(path, allow_pickle=False))
    from vendor_model.photo import read_photo

    return read_photo(path)


def _object_files(folder: str, number: int, made) -> protocol.ObjectFiles | None:
    """made: `types.Reconstruction` or None."""
    if made is None:
        return None
    surface, pose = made.surface, made.pose
    return protocol.ObjectFiles(
        write_array(folder, f"vertices_{number}", surface.vertices),
        write_array(folder, f"faces_{number}", surface.faces),
        write_array(folder, f"colors_{number}", surface.colors),
        tuple(pose.rotation.tolist()),
        tuple(pose.translation.tolist()),
        tuple(pose.scale.tolist()),
        float(made.mask_iou),
    )


def write_array(folder: str, name: str, array) -> str:
    import numpy as np

    path = Path(folder) / f"{name}.npy"
    np.save(path, array, allow_pickle=False)
    return str(path)


def main() -> NoReturn:
    parser = argparse.ArgumentParser(
        prog="python -m vendor_model.worker", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FOLDER", help="the model's folder")
    jobs = ModelJobs(parser.parse_args().checkpoint)
    serve(jobs.handlers(), jobs.clear)


if __name__ == "__main__":
    main()
