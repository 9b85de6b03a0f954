# What the tests in the virtual machine do outside of it. Needs `here` and `work`.

# in_machine BOOT'S ARGUMENTS…: runs the task in the machine and shows its log; ends the test if it failed
in_machine() {
  local status=0
  "$here/boot" "$@" || status=$?
  cat "$work/log" 2>/dev/null || true
  [ $status = 0 ] || { echo "vm: failed in the machine ($status)" >&2; exit 1; }
}

# check WHAT COMMAND…: one thing that must be so
passed=0 failed=0
check() {
  local what=$1
  shift
  if "$@"; then passed=$((passed + 1)) && echo "ok: $what"; else failed=$((failed + 1)) && echo "FAILED: $what ($*)"; fi
}

# Whether all was so.
checked() {
  echo "vm: $passed passed, $failed failed"
  [ $failed = 0 ]
}
