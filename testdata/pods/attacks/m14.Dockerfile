# M14: a step writes to the program that runs it.
FROM BASE/busybox
RUN for exe in /proc/[0-9]*/exe; do \
        case "$(readlink $exe)" in */busybox) ;; *) if (: >> $exe); then exit 1; fi;; esac; done 2> /dev/null
