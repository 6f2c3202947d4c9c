/**
 * What stands in for systemd where it does not run: a POSIX shell script that keeps one daemon running. It
 * starts the daemon again unless it exits 0 or the script was told to stop: within a second when the daemon had
 * served (it leaves `run/ready`), with a growing pause when it did not come that far.
 */

/** The script's arguments are the data directory and then the program with its arguments. */
export const supervisorScript = `#!/bin/sh
# Keeps one mk8s daemon running: started by "mk8s start", ended by "mk8s stop" or SIGTERM.
data=$1
shift
stopping=
child=
trap '' HUP
trap 'stopping=1; if [ -n "$child" ]; then kill -TERM "$child" 2>/dev/null; fi' TERM INT

pause_for() {
  case $1 in
    1) echo 0.1 ;; 2) echo 1 ;; 3) echo 2 ;; 4) echo 4 ;; 5) echo 8 ;; 6) echo 15 ;; *) echo 30 ;;
  esac
}

failures=0
while [ -z "$stopping" ]; do
  begun=$(date +%s)
  "$@" </dev/null &
  child=$!
  wait "$child"
  code=$?
  # A signal ends "wait" early: wait again for the daemon itself.
  while kill -0 "$child" 2>/dev/null; do
    wait "$child"
    code=$?
  done
  child=
  if [ "$code" -eq 0 ] || [ -n "$stopping" ]; then break; fi
  if [ -d "$data/run" ]; then echo "$code" >"$data/run/last-exit"; else break; fi
  if [ $(($(date +%s) - begun)) -ge 60 ]; then failures=0; fi
  failures=$((failures + 1))
  # A daemon that had served comes back at once, or after a second when that happens again and again.
  if [ -e "$data/run/ready" ] && [ "$failures" -gt 2 ]; then failures=2; fi
  rm -f "$data/run/ready"
  sleep "$(pause_for "$failures")" &
  child=$!
  wait "$child"
  child=
done
`
