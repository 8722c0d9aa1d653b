#!/bin/sh
# Starts children that would outlive it by far, tells their pids, and waits for them.
sleep 600 &
first=$!
sleep 600 &
echo "$$ $first $!"
wait
