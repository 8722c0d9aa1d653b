#!/bin/sh
echo "Hello, ${1:-world}! I am process $$, execution $FLUX_EXECUTION_ID."
