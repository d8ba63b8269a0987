"""A run config becomes running providers: a plan that finds every problem, then a build that isolates every failure."""

from hitchpost.stack.plan import StackPlan, plan_stack
from hitchpost.stack.stack import Stack, build_stack, select_plugins

__all__ = ["Stack", "StackPlan", "build_stack", "plan_stack", "select_plugins"]
