"""Backlot's domain: operations, tasks, steps, images and providers, without Lambda, CDK or an emulator."""
