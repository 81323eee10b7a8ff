"""Every job in the queue resolves to a function of the worker."""

import inspect

from rq.utils import import_attribute

from atomic_adapters.redis.rq_job_queue import JOB_PATHS
from atomic_core.ports.job_queue import Job


def test_every_job_has_a_path() -> None:
    assert set(JOB_PATHS) == set(Job)


def test_every_path_resolves_to_a_function_without_required_arguments() -> None:
    for path in JOB_PATHS.values():
        inspect.signature(import_attribute(path)).bind()
