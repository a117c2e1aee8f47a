# Run times of languages: one that reads /proc/self when it is installed, one that builds a package.
FROM BASE/debian
RUN apt-get update \
    && mkdir -p /usr/share/man/man1 \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        openjdk-17-jre-headless python3-pip python3-setuptools python3-wheel \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/*.log
RUN java -version && java -XshowSettings:system -version 2>&1 | grep -i 'operating system' || java -XshowSettings -version
WORKDIR /srv/package
RUN printf 'from setuptools import setup\nsetup(name="said", version="1", py_modules=["said"])\n' > setup.py \
    && echo 'print("said")' > said.py \
    && pip install --break-system-packages --no-index --no-build-isolation --no-compile . \
    && cd / && test "$(python3 -m said)" = said \
    && python3 -c 'import multiprocessing as m; print(m.Pool(2).map(abs, [-1, -2]))'
