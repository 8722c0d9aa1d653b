#!/bin/busybox sh
# The first process of the guest kernel of uml.mjs. Its root is the host's, read-only; GUEST_DIR is a folder on the host,
# and GUEST_MODULES the one of the kernel's modules.
# busybox, because the host may have no insmod.
set -e
trap 'busybox poweroff -f' EXIT
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# By its path, because a shell of busybox starts its own applets by /proc/self/exe. Before /proc is mounted that is the
# host's, and there this process is the kernel's program.
/usr/bin/busybox mount -t proc proc /proc
# The console would end lines by CR LF.
busybox stty -onlcr
# systemd's default; the kernel's own is too low for thousands of executions.
ulimit -Hn 524288
busybox hostname -F /etc/hostname
busybox ip link set lo up
# The last ones: for file systems in files, and quotas.
for module in fs/overlayfs/overlay drivers/block/loop fs/quota/quota_tree fs/quota/quota_v2; do
  busybox insmod "$GUEST_MODULES/kernel/$module.ko"
done

# /mnt stays outside of the new root: the guest's only way to write to the host is not seen there.
busybox mount -t tmpfs tmpfs /mnt
cd /mnt
busybox mkdir upper work root host
busybox mount -t hostfs -o "$GUEST_DIR" host host
busybox mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root

cd root
busybox mount -t proc proc proc
busybox mount -t sysfs sysfs sys
busybox mount -t cgroup2 cgroup2 sys/fs/cgroup
echo '+memory +cpu +pids' >sys/fs/cgroup/cgroup.subtree_control
busybox mount -t tmpfs -o mode=755 tmpfs run
busybox mount -t devtmpfs devtmpfs dev
busybox ln -s /proc/self/fd dev/fd
for link in 0:stdin 1:stdout 2:stderr; do busybox ln -s "/proc/self/fd/${link%:*}" "dev/${link#*:}"; done
busybox mkdir dev/pts dev/shm
busybox mount -t devpts -o mode=620,ptmxmode=666 devpts dev/pts
busybox mount -t tmpfs -o mode=1777 tmpfs dev/shm

# As the root of the mount namespace, too: who joins a namespace gets its root (setns(2)).
busybox mount --move . /
result=0
busybox chroot . /bin/sh "$GUEST_DIR/command" </dev/null || result=$?
echo "$result" >/mnt/host/result
# Not even that the kernel is halted.
echo 0 >/proc/sys/kernel/printk
