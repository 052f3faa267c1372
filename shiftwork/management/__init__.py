"""The parts of `shiftwork.project_manager`, which re-exports what is public."""
