"""A run config becomes running providers: a plan that finds every problem, then a build that isolates every failure."""

from hitchpost.stack.plan import StackPlan, draft_stack, plan_loaded, plan_stack
from hitchpost.stack.stack import Stack, build_stack, select_plugins

__all__ = ["Stack", "StackPlan", "build_stack", "draft_stack", "plan_loaded", "plan_stack", "select_plugins"]
