#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Build the packages into build-package/: see usage().
set -eu

usage()
{
	cat <<-END
	usage: ./dev package [--twice] [deb | rpm]...

	deb      Debian packages, from packaging/debian, in build-package/deb; the default. lintian
	         looks at them, and its errors and warnings fail the command.
	rpm      RPMs, from packaging/rpm, in build-package/rpm; rpmlint looks at them and at the spec
	         file, and its errors and warnings fail the command. To be built on the system that
	         they are for; on Debian only to see that they build.

	--twice  build again, debs in another folder, and fail unless all packages are the same bytes

	The files that git knows are packaged, as they are now. All times in the packages are that
	of the last commit, or SOURCE_DATE_EPOCH. What is needed is installed first.
	END
}

cd "$(dirname "$0")/.."
top=$PWD
out=$top/build-package
version=$(sed -n "s/^  version: '\(.*\)',/\1/p" meson.build)

die()
{
	echo "package: $*" >&2
	exit 1
}

# COMMAND... with its output in the file $1, which is shown if it fails
logged()
{
	log=$1
	shift
	"$@" >"$log" 2>&1 || {
		tail -n 40 "$log" >&2
		die "failed: $1 (all of it: $log)"
	}
}

# make_source FILE: what git knows, as vas-VERSION/. The same files give the same bytes.
make_source()
{
	git ls-files -z --deduplicate | tar --create --null --files-from=- --sort=name \
		--transform="s,^,vas-$version/,S" --mtime="@$SOURCE_DATE_EPOCH" \
		--owner=0 --group=0 --numeric-owner --mode=u+rw,go=rX --xz --file="$1"
}

maintainer()
{
	sed -n 's/^Maintainer: //p' packaging/debian/control
}

# The news are in NEWS.md; the packages' own changelog has only what identifies them.
debian_changelog()
{
	cat <<-END
	vas ($version-0vas1) unstable; urgency=medium

	  * Packaged by the project itself. What is new: /usr/share/doc/vas-doc/NEWS.md.

	 -- $(maintainer)  $(date --utc --date="@$SOURCE_DATE_EPOCH" --rfc-email)
	END
}

# build_deb FOLDER
build_deb()
{
	rm -rf "$1"
	mkdir -p "$1"
	make_source "$1/vas_$version.orig.tar.xz"
	tar -xf "$1/vas_$version.orig.tar.xz" -C "$1"
	cp -r packaging/debian "$1/vas-$version/debian"
	debian_changelog >"$1/vas-$version/debian/changelog"
	(cd "$1/vas-$version" && logged "$1/log" dpkg-buildpackage --no-sign --build=full)
	rm -rf "${1:?}/vas-$version"
}

check_deb()
{
	logged "$1/lintian" lintian --fail-on error,warning --allow-root "$1"/*.changes
	cat "$1/lintian"
}

# The packages that the spec file asks for have other names on Debian: setup.sh knows them.
build_rpm()
{
	rm -rf "$1"
	mkdir -p "$1"
	make_source "$1/vas-$version.tar.xz"
	{
		echo "%global vas_version $version"
		cat packaging/rpm/vas.spec
		LC_ALL=C date --utc --date="@$SOURCE_DATE_EPOCH" "+* %a %b %d %Y $(maintainer) - $version-1"
		echo "- Packaged by the project itself; what is new is in NEWS.md."
	} >"$1/vas.spec"
	nodeps=
	! command -v dpkg-query >/dev/null || nodeps=--nodeps
	logged "$1/log" rpmbuild -ba $nodeps "$1/vas.spec" --define "_topdir $1/tree" --define "_sourcedir $1" \
		--define "_rpmdir $1" --define "_srcrpmdir $1" --define "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" \
		--define "_buildhost localhost" --define "use_source_date_epoch_as_buildtime 1" \
		--define "clamp_mtime_to_source_date_epoch 1"
	rm -rf "$1/tree"
}

check_rpm()
{
	logged "$1/rpmlint" rpmlint --config packaging/rpm/rpmlint.toml "$1/vas.spec" "$1"/*.rpm
	tail -n 1 "$1/rpmlint"
	grep -q ' 0 errors, 0 warnings' "$1/rpmlint" || {
		cat "$1/rpmlint" >&2
		die "rpmlint has found something"
	}
}

# same_bytes ONE OTHER PATTERN
same_bytes()
{
	for file in "$1"/$3; do
		cmp "$file" "$2/${file##*/}" || die "two builds differ: $file"
	done
	rm -rf "$2"
	echo "package: built twice, the same bytes"
}

kinds='' twice=''
for argument; do
	case $argument in
	deb | rpm) kinds="$kinds $argument" ;;
	--twice) twice=yes ;;
	-h | --help)
		usage
		exit
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
done
for kind in ${kinds:-deb}; do
	scripts/setup.sh "$kind"
done
git rev-parse --git-dir >/dev/null 2>&1 || die "git tells what belongs to the packages: run this in a clone"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
DEB_BUILD_OPTIONS=${DEB_BUILD_OPTIONS:-parallel=$(nproc)}
export SOURCE_DATE_EPOCH DEB_BUILD_OPTIONS

for kind in ${kinds:-deb}; do
	"build_$kind" "$out/$kind"
	"check_$kind" "$out/$kind"
	if [ -n "$twice" ]; then
		rm -rf "$out/$kind-again"
		case $kind in
		deb) build_deb "$out/deb-again" ;;
		rpm)
			# A source RPM tells where it was built.
			mv "$out/rpm" "$out/rpm-again"
			build_rpm "$out/rpm"
			;;
		esac
		same_bytes "$out/$kind" "$out/$kind-again" "*.$kind"
	fi
	ls "$out/$kind"/*."$kind"
done
