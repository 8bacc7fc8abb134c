"""Publishing models on the Hugging Face Hub: what goes up, the model card, the upload."""

from .push import push_folder
from .push_plan import PlannedFile, PushPlan, plan_push

__all__ = ["PlannedFile", "PushPlan", "plan_push", "push_folder"]
