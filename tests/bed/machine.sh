# shellcheck shell=bash disable=SC2154 # $state: of who sources this
# SPDX-License-Identifier: MIT
# Sourced by the beds: what their init finds; and for those that boot a Debian kernel under QEMU: which kernel, its
# initramfs, and the file systems that it shares with this machine. Uses $state, a directory of the bed's own, and fail.

# QEMU, and what else these beds need
need_machine() {
	local program
	PATH=$PATH:/usr/sbin:/sbin
	for program in qemu-system-x86_64 busybox cpio depmod modprobe xz gcc; do
		command -v "$program" >/dev/null || fail "$program is missing, install the bed's packages:" \
			'  apt-get install qemu-system-x86 busybox-static cpio kmod xz-utils gcc libc6-dev'
	done
}

# choose_kernel [WHICH]: sets $kernel_image and $kernel_modules, and leaves $state/modprobe for what the kernel itself loads.
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
	gcc -O2 -o "$state/init" "$(dirname "${BASH_SOURCE[0]}")/init.c" || fail 'gcc failed, see above: is libc6-dev installed?'
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
	local name=$1 command=$2 root=$state/$1.root module files=()
	shift 2
	mkdir -p "$root"/{bin,proc,dev,mnt,modules}
	cp "$(command -v busybox)" "$root/bin/busybox"
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
			*.xz) xz -dc "$module" >"$root/modules/$(basename "$module" .xz)" ;;
			*) cp "$module" "$root/modules/" ;;
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
	} >"$root/init"
	chmod +x "$root/init"
	(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$state/$name.initramfs"
	rm -rf "$root"
}

# machine NAME [WORD]: QEMU's arguments, one a line, for a machine with that initramfs that shares / and $state with this one, and
# a word more for its kernel. In one that is brought and old, getrandom() would wait for entropy.
machine() {
	[ "$kernel_modules" ] || printf '%s\n' -device virtio-rng-pci
	printf '%s\n' -nodefaults -display none -serial stdio -no-reboot -kernel "$kernel_image" -initrd "$state/$1.initramfs" \
		-virtfs "local,path=/,mount_tag=root,security_model=none,multidevs=remap" \
		-virtfs "local,path=$state,mount_tag=state,security_model=none,multidevs=remap" \
		-append "console=ttyS0 panic=-1 quiet${2:+ $2}"
}

# accelerator: KVM where this machine's processor has it, else software, with a thread for each CPU.
accelerator() {
	if [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; then
		printf '%s\n' -accel kvm -cpu host
	else
		printf '%s\n' -accel tcg,thread=multi -cpu max
	fi
}
