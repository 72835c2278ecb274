"""What all views of the management plane share: who calls, in which scope, with which right, and how errors look."""
