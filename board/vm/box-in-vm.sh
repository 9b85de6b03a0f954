# What every task with a box in it does in the virtual machine: source it. Needs `dais.toml` beside it.

say() { echo "[$(cut -d' ' -f1 /proc/uptime)] $*"; }
await() { # await SECONDS WHAT COMMAND…
  seconds=$1 what=$2
  shift 2
  until=$(($(date +%s) + seconds))
  until "$@"; do
    [ "$(date +%s)" -lt $until ] || { say "waited $seconds s for this in vain: $what"; return 1; }
    sleep 0.2
  done
}

# By the unit that ships, hardened as it ships.
install_box() {
  ln -s "$PWD/daisd" /usr/bin/daisd
  mkdir -p /etc/dais /etc/systemd/system/daisd.service.d
  cp dais.toml /etc/dais/
  systemd-sysusers "$PWD/sysusers.conf"
  cp daisd.service /etc/systemd/system/
  # Emulated, a start takes its time; and the plugins are scanned already.
  printf '%s\n' '[Service]' TimeoutStartSec=180 WatchdogSec=120 "Environment=GST_REGISTRY=$GST_REGISTRY GST_REGISTRY_UPDATE=no" \
    >/etc/systemd/system/daisd.service.d/vm.conf
  systemctl daemon-reload
  # The image has no file of hosts, which every installed Debian has.
  grep -qs localhost /etc/hosts || echo '127.0.0.1 localhost' >>/etc/hosts
}
told() { journalctl -u daisd -o cat --no-pager >daisd.log || true; }

# A console, as anybody's program would be one: HTTP to pair, MQTT to talk.
pair() {
  code=$(journalctl -u daisd -o cat --no-pager | sed -n "s/.*pairs with the code \\([0-9]\\{6\\}\\).*/\\1/p" | head -n 1)
  curl -sS --fail-with-body -m 60 -H 'content-type: application/json' -d "{\"code\":\"$code\",\"name\":\"VM\"}" \
    http://127.0.0.1:8080/api/pair >console.json
}
call() { # call METHOD PARAMS: prints the result, or fails with the error
  topic=dais/v1/$(jq -r .box console.json)/host/$(jq -r .user_id console.json)
  reply=$(mosquitto_rr -V mqttv5 -h 127.0.0.1 -q 1 -W 30 -u "$(jq -r .username console.json)" -P "$(jq -r .password console.json)" \
    -t "$topic/up" -e "$topic/down/vm" -m "{\"jsonrpc\":\"2.0\",\"id\":\"$(cat /proc/sys/kernel/random/uuid)\",\"method\":\"$1\",\"params\":$2}")
  echo "$reply" | jq -ec .result || { say "$1: $reply"; return 1; }
}
retained() { # retained TOPIC: the box's state as every console gets it
  mosquitto_sub -V mqttv5 -h 127.0.0.1 -u "$(jq -r .username console.json)" -P "$(jq -r .password console.json)" \
    -t "dais/v1/$(jq -r .box console.json)/$1" -C 1 -W 10
}
closed() { retained outputs | jq -e '.record.state == "stopped"' >/dev/null; }
stop_box() {
  systemctl stop daisd
  [ "$(systemctl show -P Result daisd)" = success ] || { say "the box did not stop cleanly: $(systemctl show -P Result daisd)"; return 1; }
}
