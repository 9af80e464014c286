-- The keys are good for either way of making them.
DROP FUNCTION muster_unversioned(TEXT);
