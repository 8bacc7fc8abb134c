"""Uploading a model in one commit: everything is there afterwards, or nothing is.

Weights go up first, as data that belongs to no commit; what arrived is not sent again by the next try.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from ..errors import CheckpointError, HubError, InputError, VideoGlammError
from .push_plan import PushPlan, plan_push


def push_folder(
    folder: str | PathLike[str],
    repo: str,
    *,
    private: bool = False,
    variant: str | None = None,
    revision: str | None = None,
    base_model: str | None = None,
    license: str | None = None,
    token: str | None = None,
) -> str:
    """Publishes a saved model or adapter on the Hub, with the code it needs and a model card.

    Args:
        folder: What `save_pretrained` (of the model and of the processor) or `videoglamm convert` wrote.
        repo: `USER/NAME` of the repository; it is made if it does not exist.
        private: Make the repository private; refused if it exists and is public.
        variant, base_model, license: See [`plan_push`].
        revision: Branch to commit to, made if it does not exist; `main` by default.
        token: Access token; by default that of `hf auth login` or of `HF_TOKEN`.

    Returns:
        URL of the commit.

    Raises:
        InputError: If the name of the repository or an option is wrong.
        CheckpointError: If the folder holds no complete model, or something that must not be published.
        HubError: If the Hub refuses, or cannot be reached; nothing is half published then.
    """
    check_repo(repo)
    plan = plan_push(Path(folder).expanduser(), repo, variant=variant, base_model=base_model, license=license)
    return upload(plan, repo, private=private, revision=revision, token=token)


def check_repo(repo: str) -> None:
    """Refuses what is no full name of a repository.

    Raises:
        InputError: If it is a URL or a path, has signs that no name has, or leaves the user out.
    """
    try:
        validate_repo_id(repo)
        if "/" not in repo:
            raise HFValidationError("the user or organisation is missing")
    except HFValidationError as error:
        raise InputError(f"{repo!r} is no name of a repository; write it as USER/NAME ({error}).") from error


def upload(
    plan: PushPlan, repo: str, *, private: bool = False, revision: str | None = None, token: str | None = None
) -> str:
    """Uploads what [`plan_push`] decided, in one commit; see [`push_folder`].

    Weights of the same name that lie there in other shards go in that commit: they would be loaded in place of these.
    """
    if plan.problem:
        raise CheckpointError(plan.problem)
    api = HfApi(token=token, library_name="videoglamm-hf")
    with _explained(repo):
        if plan.base_model is not None:
            _check_base(api, plan.base_model)
        places = {None, revision}  # a new branch starts as a copy of main
        if plan.variant and not any(api.file_exists(repo, "config.json", revision=place) for place in places):
            raise InputError(f"{repo} holds no model that a variant could join; push the folder without --variant.")
        repo = api.create_repo(repo, private=private or None, exist_ok=True).repo_id
        if private and not api.model_info(repo).private:
            raise InputError(f"{repo} exists and is public, so --private cannot be kept. Give another name.")
        if revision not in (None, "main"):
            api.create_branch(repo, branch=revision, exist_ok=True)
        replaced = plan.replaces(api.list_repo_files(repo, revision=revision))
        additions = [CommitOperationAdd(file.path, _source(file.content)) for file in plan.files]
        commit = api.create_commit(
            repo,
            [*additions, *(CommitOperationDelete(path, is_folder=False) for path in replaced)],
            commit_message="Upload a VideoGLaMM model" if plan.base_model is None else "Upload a VideoGLaMM adapter",
            revision=revision,
        )
    return commit.commit_url


def _source(content: Path | bytes) -> str | bytes:
    return str(content) if isinstance(content, Path) else content


def _check_base(api: HfApi, base: str) -> None:
    try:
        check_repo(base)
        api.model_info(base)
    except (InputError, RepositoryNotFoundError) as error:
        raise CheckpointError(
            f"The adapter's base model {base!r} is not on the Hub, or your token cannot see it. Publish it first, or "
            "give its Hub id with --base-model."
        ) from error


@contextmanager
def _explained(repo: str) -> Iterator[None]:
    """Turns what the Hub or the network complains about into what a person can do."""
    again = "Nothing was published; run the same command again, what has arrived is not sent twice."
    try:
        yield
    except VideoGlammError:
        raise
    except OfflineModeIsEnabled as error:
        raise HubError("HF_HUB_OFFLINE is set, so nothing can be pushed. Unset it.") from error
    except (HTTPError, OSError, RuntimeError) as error:
        # A thread of the upload reports what happened to it as the cause of a RuntimeError.
        reason = error.__cause__ or error if type(error) is RuntimeError else error
        if isinstance(reason, HfHubHTTPError):
            raise HubError(_refusal(repo, reason, again)) from error
        if getattr(reason, "filename", None):
            raise CheckpointError(f"{reason.filename} cannot be read: {reason.strerror}.") from error
        said = str(reason) or type(reason).__name__
        raise HubError(f"The connection to the Hub was lost ({said}). {again}") from error
    except ValueError as error:
        raise HubError(f"The Hub refused {repo}: {error}") from error


def _refusal(repo: str, error: HfHubHTTPError, again: str) -> str:
    status = error.response.status_code
    said = (error.server_message or str(error)).strip().splitlines()[0]
    if status == 401:
        return f"The Hub does not know you ({said}). Log in with `hf auth login`, or set HF_TOKEN to a valid token."
    if status == 403:
        return (
            f"Your token may not write to {repo} ({said}). Make a token with the permission 'write', for this "
            "repository or its owner, at https://huggingface.co/settings/tokens, and log in with it."
        )
    if status == 404:
        return f"The Hub has no {repo}, or hides it from your token ({said}). Check the name and `hf auth whoami`."
    if status >= 500 or status == 429:
        return f"The Hub is busy or down (HTTP {status}: {said}). {again}"
    return f"The Hub refused {repo} (HTTP {status}: {said})."
