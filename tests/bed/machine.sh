# shellcheck shell=bash disable=SC2154 # $state: of who sources this
# SPDX-License-Identifier: MIT
# Sourced by the beds: what their init finds; and for those that boot a Debian kernel under QEMU: which kernel, its
# initramfs, and the file systems that it shares with this machine. Uses $state, a directory of the bed's own, and fail.

root='' foreign='' qemu=qemu-system-x86_64 console=ttyS0 compiler=gcc sharing=()
emulator_packages='qemu-system-x86 gcc libc6-dev'

# use_root DIRECTORY: the file system is this root of Debian, which is another processor's: arm64's.
use_root() {
	root=$(realpath "$1")
	# shellcheck disable=SC2016 # dpkg-query's
	foreign=$(dpkg-query --admindir="$root/var/lib/dpkg" --show --showformat '${Architecture}' busybox-static) ||
		fail "$root is no root of Debian with busybox-static"
	[ "$foreign" = arm64 ] || fail "$root is a root for $foreign, arm64 was expected"
	qemu=qemu-system-aarch64 console=ttyAMA0 compiler=aarch64-linux-gnu-gcc
	emulator_packages='qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross'
}

# share TREE...: sets $sharing, words that start QEMU where the root has these trees of this machine in their places. The mounts
# end with it.
share() {
	mkdir -p "${@/#/$root}"
	# shellcheck disable=SC2016,SC2034 # for that shell; for who sources this
	sharing=(unshare --mount sh -c 'root=$1 && shift
		until [ "$1" = -- ]; do mount --bind "$1" "$root$1" || exit; shift; done
		shift && exec "$@"' sh "$root" "$@" --)
}

# QEMU, and what else these beds need
need_machine() {
	local program
	PATH=$PATH:/usr/sbin:/sbin
	for program in $qemu busybox cpio depmod modprobe xz $compiler; do
		command -v "$program" >/dev/null || fail "$program is missing, install the bed's packages:" \
			"  apt-get install $emulator_packages busybox-static cpio kmod xz-utils"
	done
}

# choose_kernel [OPTION... WHICH]: sets $kernel_image and $kernel_modules, and leaves $state/modprobe for what the kernel itself
# loads.
choose_kernel() {
	kernel_modules=$("$(dirname "${BASH_SOURCE[0]}")/kernel" "$@") || exit 125
	kernel_image=$(echo "$kernel_modules"/boot/vmlinuz-*)
	printf '#!/bin/sh\nexec modprobe --dirname %s "$@"\n' "$kernel_modules" >"$state/modprobe"
	chmod +x "$state/modprobe"
}

# use_image FILE: the same for a kernel that somebody brings: all that the bed needs is part of it (docs/kernels.md).
use_image() {
	[ -r "$1" ] || fail "$1: a kernel's image (bzImage) is expected there"
	kernel_image=$(realpath "$1") kernel_modules=''
}

build_init() {
	$compiler -O2 -o "$state/init" "$(dirname "${BASH_SOURCE[0]}")/init.c" ||
		fail "$compiler failed, see above: are these installed: $emulator_packages?"
}

# prepare DIRECTORY WORD...: what init finds there, to run these words; the strings are those that env(1) takes.
prepare() {
	{ env -0 && printf '%s\0' TMPDIR=/run/tmp "${@:2}"; } >"$1/command"
	ln -s "$PWD" "$1/directory"
}

# prepare_end END up|down COMMAND: the same in a directory of its own for one of several machines, which ${init[END]} starts.
declare -A init=()
prepare_end() {
	mkdir "$state/$1"
	: >"$state/$1/out"
	: >"$state/$1/err"
	prepare "$state/$1" bash -c "$3"
	# shellcheck disable=SC2034 # for who sources this
	init[$1]="$state/init $state/$1 $1 $2"
}

# initramfs NAME COMMAND MODULE...: $state/NAME.initramfs, which loads the modules, takes this machine's file system for its
# root, with $state where it lies here, and becomes COMMAND. Modules that the kernel asks for itself come from there too.
initramfs() {
	local name=$1 command=$2 tree=$state/$1.root busybox=$root/bin/busybox module files=()
	shift 2
	mkdir -p "$tree"/{bin,proc,dev,mnt,modules}
	[ "$root" ] || busybox=$(command -v busybox)
	cp "$busybox" "$tree/bin/busybox"
	[ -z "$kernel_modules" ] || mapfile -t files < <(for module in virtio_pci 9p 9pnet_virtio "$@"; do
		modprobe --dirname "$kernel_modules" --set-version "${kernel_image##*/vmlinuz-}" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
	done | awk '!seen[$0]++')
	{
		cat <<'END'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
END
		for module in "${files[@]}"; do
			case $module in
			*.xz) xz -dc "$module" >"$tree/modules/$(basename "$module" .xz)" ;;
			*) cp "$module" "$tree/modules/" ;;
			esac
			echo "\$b insmod /modules/$(basename "$module" .xz)"
		done
		# Not cached, so that what is written there is seen outside at once.
		cat <<END
\$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose root /mnt
\$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=none state /mnt$state
echo $state/modprobe >/proc/sys/kernel/modprobe
\$b mount --move /dev /mnt/dev
\$b umount /proc
exec \$b switch_root /mnt $command
END
	} >"$tree/init"
	chmod +x "$tree/init"
	(cd "$tree" && find . | cpio -o -H newc --quiet | gzip -1) >"$state/$name.initramfs"
	rm -rf "$tree"
}

# machine NAME [WORD]: QEMU's arguments, one a line, for a machine with that initramfs that shares / and $state with this one, and
# a word more for its kernel. In one that is brought and old, getrandom() would wait for entropy.
machine() {
	[ "$kernel_modules" ] || printf '%s\n' -device virtio-rng-pci
	printf '%s\n' -nodefaults -display none -serial stdio -no-reboot -kernel "$kernel_image" -initrd "$state/$1.initramfs" \
		-virtfs "local,path=${root:-/},mount_tag=root,security_model=none,multidevs=remap" \
		-virtfs "local,path=$state,mount_tag=state,security_model=none,multidevs=remap" \
		-append "console=$console panic=-1 quiet${2:+ $2}"
}

# accelerator: KVM where this machine's processor has it, else software, with a thread for each CPU. Of arm64 it is a Graviton2,
# whose emulation spends no time on pointer authentication.
accelerator() {
	if [ "$foreign" ]; then
		printf '%s\n' -machine virt -accel tcg,thread=multi -cpu neoverse-n1
	elif [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; then
		printf '%s\n' -accel kvm -cpu host
	else
		printf '%s\n' -accel tcg,thread=multi -cpu max
	fi
}
