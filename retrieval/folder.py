"""A folder of files as a collection: what is new or changed goes in, what is gone goes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from tenants.isolation.scope import Scope, scope

from .data import Upload
from .documents import delete_document, find_collection, submit_many
from .errors import RetrievalError
from .models import Document

#: Uploads in one transaction: as many files, or so many bytes.
MOST_FILES, MOST_BYTES = 100, 50 * 1024 * 1024

Stamp = tuple[int, int]


@dataclass(slots=True)
class Synced:
    """What one pass did. `rejected`: path and reason of files that were not taken."""

    jobs: list[UUID] = field(default_factory=list)
    accepted: int = 0
    removed: int = 0
    rejected: list[tuple[str, str]] = field(default_factory=list)


class Folder:
    """Keeps a collection in step with a folder. A document's external id is its path in the folder. What begins with a
    dot is left out, and links are not followed.
    """

    def __init__(self, place: Path, tenant: UUID, collection: str) -> None:
        self._place, self._collection = place, collection
        actor = {"type": "system", "id": "", "name": f"folder {place.name}"}
        self._scope = Scope(tenant=tenant, actor=actor)
        self._seen: dict[str, Stamp] = {}

    def sync(self, remove: bool = False) -> Synced:
        """One pass. `remove`: documents that came from this folder and whose files are gone are removed, unless the
        folder is empty, as it is when a disk is away. Raises CollectionNotFound.
        """
        done = Synced()
        present = dict(self._files())
        with scope(self._scope):
            find_collection(self._collection)
        changed = [path for path, stamp in present.items() if self._seen.get(path) != stamp]
        for paths in self._batches(changed, present):
            self._submit(paths, done)
        self._seen = {path: stamp for path, stamp in present.items() if path not in dict(done.rejected)}
        if remove and present:
            self._remove(set(present), done)
        return done

    def _files(self) -> Iterator[tuple[str, Stamp]]:
        for path in sorted(self._place.rglob("*")):
            inside = path.relative_to(self._place)
            if path.is_symlink() or not path.is_file() or any(part.startswith(".") for part in inside.parts):
                continue
            told = path.stat()
            yield inside.as_posix(), (told.st_mtime_ns, told.st_size)

    def _batches(self, paths: list[str], sizes: dict[str, Stamp]) -> Iterator[list[str]]:
        batch: list[str] = []
        for path in paths:
            if batch and (len(batch) == MOST_FILES or sum(sizes[one][1] for one in [*batch, path]) > MOST_BYTES):
                yield batch
                batch = []
            batch.append(path)
        if batch:
            yield batch

    def _submit(self, paths: list[str], done: Synced) -> None:
        uploads, given = [], []
        for path in paths:
            try:
                content = (self._place / path).read_bytes()
            except OSError as error:
                done.rejected.append((path, error.strerror or type(error).__name__))
                continue
            given.append(path)
            uploads.append(
                Upload(
                    collection=self._collection,
                    content=content,
                    filename=Path(path).name,
                    external_id=path,
                    metadata={"folder": self._place.name, "path": path},
                    uploaded_by="folder",
                )
            )
        if not uploads:
            return
        with scope(self._scope):
            made = submit_many(uploads)
        done.jobs.append(made.job.pk)
        done.accepted += made.accepted
        done.rejected += [(given[row["line"] - 1], row["message"]) for row in made.rejected]

    def _remove(self, present: set[str], done: Synced) -> None:
        with scope(self._scope):
            collection = find_collection(self._collection)
            known = Document.objects.filter(collection=collection, metadata__folder=self._place.name)
            gone = [pk for pk, path in known.values_list("pk", "external_id") if path not in present]
        for document in gone:
            try:
                with scope(self._scope):
                    delete_document(document)
            except RetrievalError as error:
                done.rejected.append((str(document), str(error)))
            else:
                done.removed += 1
