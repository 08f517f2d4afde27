# Ballast's image: the same files as `npm run image` makes without docker, on Debian 12.
#   docker build -t ballast:dev .

FROM node:24-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends binutils iproute2
WORKDIR /source
COPY . .
RUN npm run image -- --rootfs /image

FROM scratch
COPY --from=build /image/ /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NODE_ENV=production
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/ballast"]
