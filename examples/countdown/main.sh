#!/bin/sh
# Prints a line, works a little, prints the next.
n=${1:-5}
while [ "$n" -gt 0 ]; do
  echo "$n"
  sleep 0.3
  n=$((n - 1))
done
echo 'lift-off'
