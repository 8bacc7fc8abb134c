"""The reference: a page for each package, with every name that it exports, from docstrings."""

import pkgutil
from importlib import import_module

import videoglamm_hf

# Modules without a list of exports, of which only these names are for users.
CHOSEN = {
    "videoglamm_hf.loading.models": ["load_model", "load_processor"],
    "videoglamm_hf.loading.memory_estimate": ["MemoryEstimate", "estimate_memory"],
    "videoglamm_hf.training.fine_tuning": ["lora_config", "trainable_modules"],
    "videoglamm_hf.training.trainer": ["VideoGlammTrainer"],
    "videoglamm_hf.training.metrics": ["mask_metrics"],
    "videoglamm_hf.training.checkpoints": ["check_training_checkpoint", "last_complete_checkpoint"],
    "videoglamm_hf.pipelines.video_text_to_text": ["VideoTextToTextPipeline"],
    "videoglamm_hf.clip_sources": ["sample_clip"],
    "videoglamm_hf.data.rle": ["encode_rle", "decode_rle"],
    "videoglamm_hf.data.output_names": ["safe_name"],
    "videoglamm_hf.live.frame_sources": ["ArrivedFrame", "FrameSource"],
    "videoglamm_hf.render.colors": ["object_color", "object_colors"],
    "videoglamm_hf.render.contact_sheet": ["contact_sheet"],
    "videoglamm_hf.render.overlay": ["overlay_masks"],
    "videoglamm_hf.render.overlay_video": ["render_video"],
    "videoglamm_hf.render.region": ["mask_region"],
    "videoglamm_hf.render.video_encoding": ["write_mp4"],
    "videoglamm_hf.tracking_session": ["TrackingSession"],
    "videoglamm_hf.errors": ["CheckpointFileError", "TrainingError"],
}
# What is only for the networks that this package is made of.
_CONSTANTS = {"COLOURS", "DIRECTIONS", "KINDS", "PAIR_KINDS", "SHAPES", "SPLITS"}


def exported() -> dict[str, list[str]]:
    """Public names of every package that lists what it exports, by package; the package itself first."""
    rooms = sorted(
        found.name
        for found in pkgutil.walk_packages(videoglamm_hf.__path__, "videoglamm_hf.", onerror=lambda name: None)
        if found.ispkg
    )
    listed = {package: getattr(import_module(package), "__all__", []) for package in ("videoglamm_hf", *rooms)}
    return {package: list(names) for package, names in listed.items() if names}


def pages() -> dict[str, str]:
    """Markdown of every page of the reference, by its place in the site."""
    rooms: dict[str, list[str]] = {}
    for package, names in exported().items():
        rooms.setdefault(_room(package), []).extend(f"{package}.{name}" for name in names if name not in _CONSTANTS)
    for module, names in CHOSEN.items():
        rooms.setdefault(_room(module), []).extend(f"{module}.{name}" for name in names)
    made, rows = {}, []
    for room, paths in rooms.items():
        title = "videoglamm_hf" if room == "index" else f"videoglamm_hf.{room}"
        about = (import_module(title).__doc__ or "").strip().splitlines()[0]
        entries = "\n\n".join(f"::: {path}" for path in paths)
        made[f"reference/{room}.md"] = f"# {title}\n\n{about}\n\n{entries}\n"
        if room != "index":
            names = ", ".join(f"[`{path.rpartition('.')[2]}`][{path}]" for path in paths)
            rows.append(f"| [{title}]({room}.md) | {about} | {names} |")
    table = "\n".join(["| package | what is in it | names |", "|---|---|---|", *rows])
    head, _, entries = made["reference/index.md"].partition("\n:::")
    made["reference/index.md"] = f"{head}\n{table}\n\n:::{entries}"
    return made


def _room(module: str) -> str:
    """The page of a module: that of its room; of what lies flat the package's."""
    parts = module.split(".")
    is_room = len(parts) > 1 and hasattr(import_module(".".join(parts[:2])), "__path__")
    return parts[1] if is_room else "index"
