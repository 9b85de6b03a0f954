# What `make vm-test` asks of the box as a service of systemd. Sourced by test-in-vm.sh, whose `call` and `say` it uses.

# A data partition as a box has one: ext4 with its journal, on a device that counts what is written to it.
data_partition() {
  truncate -s 300M /data.img
  mke2fs -q -t ext4 -b 4096 /data.img
  mkdir -p /var/lib/dais
  # As the image mounts it. Each byte written in place changes its file's time, and the journal would write that every 5 s: 12 kB for
  # a line of 300 bytes. (lazytime does not help: since Linux 6.6 the version of the file, which goes with the time, is written.)
  mount -o loop,noatime,commit=300 /data.img /var/lib/dais
  data_device=$(basename "$(findmnt -n -o SOURCE /var/lib/dais)")
}

written() { # bytes that reached the device
  sync
  awk '{print $7 * 512}' "/sys/block/$data_device/stat"
}
# cost TIMES COMMAND…: bytes for each of so many runs. The sync at their end counts one commit of the file system's journal into
# them: more than a day has of them, if the runs are fewer than in 5 minutes of it.
# A file of lines (firmware/src/lines.rs) that was full within the runs was written anew for the some 200 lines to come, so
# the runs do not count; in the long run it costs each line its own length once more.
cost() {
  times=$1
  shift
  for _ in 1 2 3; do
    files=$(line_files) length=$(lines_length) before=$(written)
    for _ in $(seq "$times"); do "$@" >/dev/null; done
    bytes=$(($(written) - before + $(lines_length) - length))
    [ "$files" = "$(line_files)" ] && echo $((bytes / times)) && return
  done
  say "a file of lines was full in each of three measurements of: $*" >&2
  return 1
}
line_files() { stat -c %i /var/lib/dais/*.jsonl; }
lines_length() { cat /var/lib/dais/*.jsonl | tr -d '\n' | wc -c; }
join() {
  curl -sS --fail-with-body -m 60 -H 'content-type: application/json' \
    -d "{\"invite\":\"${url#*invite=}\",\"name\":\"Audience\"}" http://127.0.0.1:8080/api/join
}
retitle() { call room.set "{\"title\":\"Show $(cut -d' ' -f1 /proc/uptime)\"}"; }

# Flash: a day's writes outside recordings, at most 50 MB. The day: a show of 24 hours, in which somebody opens the invite each
# minute, every other of them goes on air and leaves (five changes of the room), and a console changes something every 30 s.
joins_and_changes() {
  a_join=$(cost 8 join)
  a_change=$(cost 20 retitle)
}
flash() {
  quiet=$(cost 1 sleep 5)
  day=$(((1440 * a_join + (720 * 5 + 2880) * a_change + quiet * 17280) / 1000000))
  say "flash: $a_join bytes a join, $a_change a change, $quiet in 5 s of show; $day MB in a day of show"
  [ $day -le 50 ]
}

# What is logged of one guest is found by the guest.
fields() {
  [ "$(journalctl -u daisd "DAIS_USER=$1" -o cat --no-pager | wc -l)" -gt 0 ] || { say "journald has no line of DAIS_USER=$1"; return 1; }
}
