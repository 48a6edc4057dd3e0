# al_learner's worker, and the command line beside it:
#   docker build --tag al-learner .
#   docker run --rm al-learner al-learner --help
# Environment variables configure it; docker-compose.yml shows them all. The label aggregator dawid-skene needs another
# extra, whose packages (pandas, pyarrow, transformers) are larger than all else in the image:
#   docker build --build-arg EXTRAS="meaning metrics crowd" --tag al-learner .

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
# Without pip: what goes into the image installs nothing. The build's own pip fills it from outside.
RUN python -m venv --without-pip /opt/al-learner

# The dependencies change seldom and the code often, so they come first, and the build cache keeps them. Of the extras
# only `meaning`, for word vectors, and `metrics`, for AL_LEARNER_HTTP_PORT, unless the build asks for others.
ARG EXTRAS="meaning metrics"
COPY constraints.txt pyproject.toml ./
RUN python -c "import sys, tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = [package for extra in sys.argv[1:] for package in project['optional-dependencies'][extra]]; \
print(*project['dependencies'], *extras, sep='\n')" $EXTRAS \
        > requirements.txt \
    && pip --python /opt/al-learner/bin/python install --no-cache-dir \
        --constraint constraints.txt --requirement requirements.txt \
    # Their own test suites are a sixth of what is installed; nothing imports them.
    && cd /opt/al-learner/lib/python3.11/site-packages \
    && find numpy scipy sklearn -name tests -type d -prune -exec rm -r {} +

COPY LICENSE README.md ./
COPY al_learner al_learner
RUN pip --python /opt/al-learner/bin/python install --no-cache-dir --no-deps .


FROM python:3.11-slim-bookworm
# LightGBM's wheel is linked to the system's OpenMP runtime; scikit-learn's brings its own.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log \
    && useradd --uid 10001 --user-group --no-log-init --no-create-home --shell /usr/sbin/nologin al-learner
COPY --from=build /opt/al-learner /opt/al-learner
# PASSIVE: if LightGBM is given several threads (n_jobs), they sleep while they wait for each other. By default they
# spin, which on cores that are shared with the neighbours makes training many times slower.
# HTTP_HOST: if a port is configured, probes and Prometheus ask for it from outside the container.
ENV PATH=/opt/al-learner/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_WAIT_POLICY=PASSIVE \
    AL_LEARNER_HTTP_HOST=0.0.0.0
# A settings file that is mounted here as al_learner.toml is read without being named. It must be named, in
# AL_LEARNER_CONFIG, if it sets servers, secrets, files or addresses.
WORKDIR /etc/al-learner
# By number: Kubernetes' runAsNonRoot cannot tell from a name that it is not root's.
USER 10001:10001
# `health` allows the worker 60 s without a heartbeat. The start period covers the imports on a slow machine.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=2 CMD ["al-learner", "health"]
# No shell in between, so that SIGTERM reaches the worker.
CMD ["al-learner", "worker"]
