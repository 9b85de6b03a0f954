# Runs at the end of mmdebstrap, with the folder of the new root as $1 (board/image/base): what is the same in every slot of a board.
set -eu
root=$1
in_root() { chroot "$root" "$@"; }

# The same number in every image, because the files on the data partition outlive the slots; one that packages do not take, who begin at either end.
in_root useradd --system --uid 800 --user-group --no-create-home --home-dir /var/lib/dais --shell /usr/sbin/nologin dais

# Plugins are scanned once, here: at each start in the box that would take seconds, and under emulation 7 to 16.
mkdir -p "$root/usr/lib/dais/boot"
in_root env GST_REGISTRY=/usr/lib/dais/gstreamer-registry gst-inspect-1.0 >/dev/null 2>"$root/tmp/gst-inspect" || {
  echo "image: GStreamer cannot list its plugins in the new root, so the box could not either: gst-inspect-1.0 said" >&2
  cat "$root/tmp/gst-inspect" >&2
  exit 1
}
rm -f "$root/tmp/gst-inspect"

# The kernel lies in the slot, and is copied to the boot partition when the slot becomes the first choice.
mv "$root"/boot/vmlinuz-* "$root/usr/lib/dais/boot/linux"
mv "$root"/boot/initrd.img-* "$root/usr/lib/dais/boot/initrd"
# The kernel's device trees, under a path without its version: boot.files of a profile name those that its board's loader wants.
for trees in "$root"/usr/lib/linux-image-*; do
  [ ! -d "$trees" ] || mv "$trees" "$root/usr/lib/dais/boot/dtb"
done
rm -rf "${root:?}"/boot/* "$root"/vmlinuz* "$root"/initrd.img*

# What a read-only root needs to find: mount points, an empty machine id (a new one each start), and links to /run.
mkdir -p "$root/data" "$root/etc/dais" "$root/usr/share/dais" "$root/etc/rauc" "$root/usr/lib/repart.d" \
  "$root/usr/lib/systemd/system.conf.d" "$root/usr/lib/systemd/journald.conf.d" "$root/usr/lib/systemd/resolved.conf.d" \
  "$root/etc/systemd/system/daisd.service.d"
: >"$root/etc/machine-id"
echo dais >"$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
rm -f "$root/etc/fstab"

in_root systemctl -q enable systemd-networkd.service systemd-resolved.service systemd-timesyncd.service
# Nobody logs in to a box: the console is for the pairing code.
in_root systemctl -q mask getty.target console-getty.service getty@tty1.service serial-getty@.service autovt@.service \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer systemd-bless-boot.service systemd-networkd-persistent-storage.service
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/* "$root"/var/log/*
