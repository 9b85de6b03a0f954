# What `make vm-test` asks of the box as a service of systemd. Sourced by test-in-vm.sh, whose `call`, `await`, `say` and
# `retained` it uses.

# A data partition as a box has one: ext4 with its journal, on a device that counts what is written to it.
data_partition() {
  truncate -s 300M /data.img
  mke2fs -q -t ext4 -b 4096 /data.img
  mkdir -p /var/lib/dais
  # As the image mounts it: a time of change alone is no reason to write an inode.
  mount -o loop,noatime,lazytime /data.img /var/lib/dais
  data_device=$(basename "$(findmnt -n -o SOURCE /var/lib/dais)")
}

written() { # bytes that reached the device
  sync
  awk '{print $7 * 512}' "/sys/block/$data_device/stat"
}
cost() { # cost TIMES COMMAND…: bytes for each of so many runs
  times=$1 before=$(written)
  shift
  for _ in $(seq "$times"); do "$@" >/dev/null; done
  echo $((($(written) - before) / times))
}
join() {
  curl -sS --fail-with-body -m 60 -H 'content-type: application/json' \
    -d "{\"invite\":\"${url#*invite=}\",\"name\":\"Audience\"}" http://127.0.0.1:8080/api/join
}
retitle() { call room.set "{\"title\":\"Show $(cut -d' ' -f1 /proc/uptime)\"}"; }

# Flash: a day's writes outside recordings, at most 50 MB. The day: a show of 24 hours, in which somebody opens the invite each
# minute, every other of them goes on air and leaves (five changes of the room), and a console changes something every 30 s.
flash() {
  quiet=$(cost 1 sleep 5) a_join=$(cost 8 join) a_change=$(cost 8 retitle)
  day=$(((1440 * a_join + (720 * 5 + 2880) * a_change + quiet * 17280) / 1000000))
  say "flash: $a_join bytes a join, $a_change a change, $quiet in 5 s of show; $day MB in a day of show"
  [ $day -le 50 ]
}

ready() { curl -sf -m 5 http://127.0.0.1:8080/readyz >/dev/null; }
recording() { retained outputs | jq -e '.record.state == "live"' >/dev/null; }
# client CREDENTIAL COMMAND…: a client of MQTT with the credential in that file
client() {
  credential=$1 command=$2
  shift 2
  "$command" -V mqttv5 -h 127.0.0.1 -u "$(jq -r .username "$credential")" -P "$(jq -r .password "$credential")" "$@"
}
seated() { client console.json mosquitto_sub -t "dais/v1/$(jq -r .box console.json)/room" -C 1 -W 10 | jq -e '.guests | length == 1' >/dev/null; }

# A crash: systemd brings the box back, its programme moves, the guest has the seat and the recording goes on in a new file.
crash() {
  # A guest who is there and sends nothing has a seat for 15 s: no WebRTC, which takes longer than that when emulated.
  join >seat.json
  topic=dais/v1/$(jq -r .box seat.json)/guest/$(jq -r .user_id seat.json)
  client seat.json mosquitto_sub -t "$topic/down" >/dev/null 2>&1 &
  listener=$!
  client seat.json mosquitto_rr -q 1 -W 30 -t "$topic/up" -e "$topic/down/vm" -m '{"jsonrpc":"2.0","id":"1","method":"mic.request"}' >/dev/null
  before=$(call record.start '{}' | jq -r .file)
  await 30 "a recording" recording
  call mic.respond "{\"user_id\":\"$(jq -r .user_id seat.json)\",\"accept\":true}" >/dev/null
  systemctl kill -s KILL daisd
  await 30 "the restart" sh -c '[ "$(systemctl show -P NRestarts daisd)" = 1 ]'
  await 180 "the programme after the crash" ready
  await 20 "the guest's seat" seated
  await 60 "the recording after the crash" recording
  after=$(call record.stop '{}' | jq -r .file)
  await 30 "the end of the recording" closed
  kill $listener
  [ "$before" != "$after" ] || { say "the recording did not go on in a new file: $after"; return 1; }
  say "killed, and back: $(systemctl show -P StatusText daisd)"
}

# What is logged of one guest is found by the guest.
fields() {
  [ "$(journalctl -u daisd "DAIS_USER=$1" -o cat --no-pager | wc -l)" -gt 0 ] || { say "journald has no line of DAIS_USER=$1"; return 1; }
}
