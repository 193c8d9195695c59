# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154
# Reads the file `differences`, those of `greeting`, `door` and `supervised`, and then those of the array $more. Sourced with $here set.

# listed[CASE TRANSPORT]: the names of the differences that apply; pattern[CASE TRANSPORT NAME]: the lines of each.
# unsteady[CASE TRANSPORT]: it needn't differ.
declare -A listed=() pattern=() unsteady=()
read_differences() {
	local line key='' name='' on='' lines='' instead='' steady=yes others case transport
	while IFS= read -r line; do
		[[ $line != '#'* ]] || continue
		[[ ! $line =~ ^[a-z]+: ]] || key=${line%%:*}
		line=${line#"$key":}
		line=${line# }
		case $key in
		difference) name=$line instead='' steady=yes ;;
		steady) steady=$line ;;
		instead) instead=$line ;; # a difference that can't be seen where this one is
		on)
			on=${line%%, *}
			[[ $line != *', until '* ]] || older_than "${line##* }" || on=''
			[[ $line != *', after '* ]] || ! older_than "${line##* }" || on=''
			case $on in # Unix sockets carry what is greeted, and what comes by a door
			emulated-only) on='emulated greeting' ;;
			emulated*) on="emulated greeting door${on#emulated}" ;;
			supervised-only) on=supervised ;;
			supervised) on='supervised traced' ;;
			esac
			;;
		lines) lines=$line ;;
		cases)
			for case in $line; do
				for transport in $on; do
					others=${listed["$case $transport"]-}
					listed["$case $transport"]="${others/"${instead:+ $instead}"/} $name"
					[ "$steady" = yes ] || unsteady["$case $transport"]=yes
					pattern["$case $transport $name"]=$lines
				done
			done
			;;
		esac
	done < <(cat "$here/differences" "$here"/{greeting,door,supervised}/differences ${more[@]+"${more[@]}"})
}

# Names in `traps` and `differences` that are no case any more would cover nothing. $known: " CASE CASE … "
check_names() {
	local name
	for name in $(sed '/^#/d; s/^.*\t//' "$here/traps") $(sed -n '/^cases:/,/^[abd-z][a-z]*:/ s/^\(cases:\|\t\)//p' "$here/differences" "$here"/{greeting,door,supervised}/differences ${more[@]+"${more[@]}"}); do
		[[ $known == *" $name "* ]] || fail "traps or differences: no case is called $name"
	done
}
