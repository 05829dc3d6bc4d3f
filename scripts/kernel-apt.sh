# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
# Packages of a Debian suite, by apt's own tools but with private lists, cache and status. A part of
# kernel.sh; it uses $name and $suite, and sets $apt_dir.
# shellcheck disable=SC2154 # kernel.sh sets them

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
arch=${arch:-amd64}

# The system knows a Debian archive that is near, allowed and trusted: ask apt for it.
mirror()
{
	if [ -n "${VAS_DEBIAN_MIRROR:-}" ]; then
		echo "$VAS_DEBIAN_MIRROR"
		return
	fi
	# shellcheck disable=SC2016 # the dollars are apt's
	uri=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
		sed -n 's/^Debian|//p' | head -n 1)
	[ -n "$uri" ] || die "apt has no lists of a Debian archive;" \
		"run 'apt-get update', or set VAS_DEBIAN_MIRROR"
	echo "$uri"
}

# apt with lists, cache and status of our own
private_apt()
{
	tool=$1
	shift
	"$tool" -q -o Dir::Etc::sourcelist="$apt_dir/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::Etc::preferencesparts=- -o Dir::Etc::preferences=- \
		-o Dir::State::Lists="$apt_dir/lists" -o Dir::State::status="$apt_dir/status" \
		-o Dir::Cache="$apt_dir/cache" -o APT::Sandbox::User= -o APT::Architecture="$arch" \
		-o Acquire::Languages=none -o Acquire::Retries=2 "$@"
}

apt_update()
{
	apt_dir=$cache/apt/$name
	mkdir -p "$apt_dir/lists/partial" "$apt_dir/cache/archives/partial"
	: >"$apt_dir/status"
	uri=$(mirror)
	options="target=Packages"
	[ ! -r $keyring ] || options="$options signed-by=$keyring"
	echo "deb [$options] $uri $suite main" >"$apt_dir/sources.list"
	say "reading the package list of $suite"
	private_apt apt-get update -o APT::Update::Error-Mode=any >"$apt_dir/log" 2>&1 || {
		cat "$apt_dir/log" >&2
		die "cannot read the package list of $suite from $uri (no network?)"
	}
}

# The packages in a package's Depends line that match a pattern, versions dropped
depends_of()
{
	private_apt apt-cache depends --important "$1" 2>/dev/null |
		sed -n "s/^ *Depends: \($2\)\$/\1/p"
}

# Download packages into $work/debs
download()
{
	mkdir -p "$work/debs"
	for package; do
		say "downloading $package"
		(cd "$work/debs" && private_apt apt-get download "$package") >"$apt_dir/log" 2>&1 || {
			cat "$apt_dir/log" >&2
			die "cannot download $package"
		}
	done
}

# Download packages and unpack them below a folder
unpack()
{
	to=$1
	shift
	mkdir -p "$to"
	download "$@"
	for deb in "$work"/debs/*.deb; do
		dpkg -x "$deb" "$to"
		rm "$deb"
	done
}
